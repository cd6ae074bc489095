-- makes: care_owed, how each of the four things owed to people in complex care stands
-- reads: complex_care, conditions, codelists, owed_things
-- parameters: none
-- grain: one row per person in complex care and thing owed
with known as (
    select codelists.codelist
    from codelists
    group by codelists.codelist
)

select
    complex_care.person_id,
    complex_care.practice_code,
    owed_things.thing,
    case
        when conditions.latest_date < owed_things.review_from then 'due_for_review'
        when conditions.latest_date is not null then 'in_place'
        when known.codelist is not null then 'missing'
        else 'not_known'
    end as state,
    conditions.first_date as since_date,
    conditions.latest_date
from complex_care
cross join owed_things
left join known on owed_things.codelist = known.codelist
left join conditions
    on
        complex_care.person_id = conditions.person_id
        and owed_things.codelist = conditions.condition
order by complex_care.practice_code, complex_care.person_id, owed_things.thing_number
