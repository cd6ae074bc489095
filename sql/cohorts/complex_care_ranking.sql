-- makes: complex_care_ranking, what each registered person is ranked by for a place in the complex-care cohort
-- reads: people, practices, cambridge_scores, risk_scores?
-- parameters: places_by
-- grain: one row per person
with options as (
    select $places_by as area_kind
)

select
    people.person_id,
    people.practice_code,
    -- Where places are shared out: over the whole run, or within each ICB, network or practice.
    case
        when options.area_kind = 'practice' then people.practice_code
        when options.area_kind = 'network' then coalesce(practices.pcn_code, people.practice_code)
        when options.area_kind = 'icb' then people.icb_code
        else 'all'
    end as area,
    people.age_years,
    coalesce(people.imd_decile <= 2, false) as is_deprived,
    cambridge_scores.cambridge_score,
    risk_scores.raw_score,
    risk_scores.cut_error
from people
cross join options
left join practices on people.practice_code = practices.practice_code
left join cambridge_scores on people.person_id = cambridge_scores.person_id
left join risk_scores on people.person_id = risk_scores.person_id
order by people.practice_code, people.person_id
