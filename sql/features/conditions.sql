-- makes: conditions, what is on each person's GP record
-- reads: people, events, codelists, condition_list
-- parameters: as_of_date
-- grain: one row per person and condition
with condition_codes as (
    select
        codelists.codelist as condition,
        codelists.concept_id,
        condition_list.from_age
    from codelists
    inner join condition_list on codelists.codelist = condition_list.condition
),

entries as (
    select
        people.person_id,
        condition_codes.condition,
        min(events.event_date) as first_date,
        max(events.event_date) as latest_date
    from events
    inner join condition_codes on events.concept_id = condition_codes.concept_id
    inner join people
        on
            events.person_id = people.person_id
            and events.practice_code = people.practice_code
    where
        events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= people.birth_date
        and (
            condition_codes.from_age = 0
            or (
                year(events.event_date) * 10000 + month(events.event_date) * 100 + day(events.event_date)
                - year(people.birth_date) * 10000 - month(people.birth_date) * 100 - day(people.birth_date)
            ) >= condition_codes.from_age * 10000
        )
    group by people.person_id, condition_codes.condition
),

resolutions as (
    select
        entries.person_id,
        condition_list.condition,
        entries.latest_date as resolved_date
    from entries
    inner join condition_list on entries.condition = condition_list.resolved_by
)

select
    entries.person_id,
    entries.condition,
    entries.first_date,
    entries.latest_date,
    resolutions.resolved_date,
    coalesce(resolutions.resolved_date < entries.latest_date, true) as is_unresolved
from entries
left join resolutions
    on
        entries.person_id = resolutions.person_id
        and entries.condition = resolutions.condition
order by entries.person_id, entries.condition
