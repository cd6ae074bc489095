-- makes: lifestyle_risk, people with a lifestyle risk, ranked within their practice
-- reads: people, lifestyle_flags
-- parameters: none
-- grain: one row per person with at least one flag
select
    people.person_id,
    people.practice_code,
    row_number() over (
        partition by people.practice_code
        order by
            lifestyle_flags.treatment_gaps desc,
            lifestyle_flags.flag_count desc,
            lifestyle_flags.qrisk3 desc nulls last,
            people.age_years desc,
            people.person_id asc
    ) as rank,
    lifestyle_flags.treatment_gaps,
    lifestyle_flags.flag_count
from lifestyle_flags
inner join people on lifestyle_flags.person_id = people.person_id
where lifestyle_flags.flag_count >= 1
order by people.practice_code, people.person_id
