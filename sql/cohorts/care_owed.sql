-- makes: care_owed, how each of the four things owed to people in complex care stands
-- reads: complex_care, people, events, codelists, owed_things
-- parameters: as_of_date
-- grain: one row per person in complex care and thing owed
with codes as (
    select
        owed_things.thing,
        codelists.concept_id
    from owed_things
    inner join codelists on owed_things.codelist = codelists.codelist
    group by owed_things.thing, codelists.concept_id
),

known as (
    select codes.thing
    from codes
    group by codes.thing
),

entries as (
    select
        complex_care.person_id,
        codes.thing,
        min(events.event_date) as since_date,
        max(events.event_date) as latest_date
    from events
    inner join codes on events.concept_id = codes.concept_id
    inner join complex_care
        on
            events.person_id = complex_care.person_id
            and events.practice_code = complex_care.practice_code
    inner join people on complex_care.person_id = people.person_id
    where
        events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= people.birth_date
    group by complex_care.person_id, codes.thing
)

select
    complex_care.person_id,
    complex_care.practice_code,
    owed_things.thing,
    case
        when entries.latest_date < owed_things.review_from then 'due_for_review'
        when entries.latest_date is not null then 'in_place'
        when known.thing is not null then 'missing'
        else 'not_known'
    end as state,
    entries.since_date,
    entries.latest_date
from complex_care
cross join owed_things
left join known on owed_things.thing = known.thing
left join entries
    on
        complex_care.person_id = entries.person_id
        and owed_things.thing = entries.thing
order by complex_care.practice_code, complex_care.person_id, owed_things.thing_number
