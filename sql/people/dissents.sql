-- makes: dissents, what the records of an ICB's practices say for and against a Type 1 opt-out
-- reads: events, codelists
-- parameters: as_of_date
-- grain: one row per person with a dissent or a withdrawal
with entries as (
    select
        events.person_id,
        events.event_date,
        case when codelists.codelist = 'type_1_opt_out' then 1 else 0 end as is_dissent
    from events
    inner join codelists on events.concept_id = codelists.concept_id
    where
        codelists.codelist in ('type_1_opt_out', 'type_1_opt_out_withdrawn')
        and events.entered_date < $as_of_date
        -- A dissent counts whatever its date; a withdrawal only from its day on.
        and (codelists.codelist = 'type_1_opt_out' or events.event_date < $as_of_date)
)

select
    entries.person_id,
    max(entries.is_dissent) = 1 as has_dissent,
    max(case when entries.is_dissent = 1 and entries.event_date is null then 1 else 0 end) = 1 as has_undated_dissent,
    max(case when entries.is_dissent = 1 then entries.event_date end) as dissented_date,
    max(case when entries.is_dissent = 0 then entries.event_date end) as withdrawn_date
from entries
group by entries.person_id
order by entries.person_id
