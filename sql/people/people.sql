-- makes: people, who is registered, alive and not opted out on the as-of date
-- reads: registrations, closed_practices, events, spells, lsoas, codelists, ethnic_groups, discharge_methods
-- parameters: as_of_date, icb_code
-- grain: one row per person
with current_registrations as (
    select
        registrations.person_id,
        registrations.practice_code,
        registrations.registered_date,
        registrations.birth_date,
        registrations.sex,
        registrations.lsoa_code,
        row_number() over (
            partition by registrations.person_id
            order by
                registrations.registered_date desc,
                registrations.practice_code asc,
                registrations.record_id asc nulls last,
                registrations.birth_date asc
        ) as preference
    from registrations
    where
        registrations.registration_type = 'regular'
        and registrations.registered_date < $as_of_date
        and (registrations.deregistered_date is null or registrations.deregistered_date >= $as_of_date)
        -- A practice that has closed has no list, whatever its last extract said.
        and registrations.practice_code not in (select closed_practices.practice_code from closed_practices)
),

-- Any source that says dead is enough: the death date of any registration, or a spell that ended in death.
deaths as (
    select registrations.person_id
    from registrations
    where registrations.death_date < $as_of_date
    union all
    select spells.person_id
    from spells
    inner join discharge_methods on spells.discharge_method = discharge_methods.discharge_method
    where
        discharge_methods.is_death
        and spells.discharged_date < $as_of_date
        and spells.entered_date < $as_of_date
),

-- Dissent fails closed: at any practice of the ICB, whatever its date, as long as it is known.
dissents as (
    select
        events.person_id,
        max(events.event_date) as latest_date,
        max(case when events.event_date is null then 1 else 0 end) as has_undated
    from events
    inner join codelists on events.concept_id = codelists.concept_id
    where
        codelists.codelist = 'type_1_opt_out'
        and events.entered_date < $as_of_date
    group by events.person_id
),

withdrawals as (
    select
        events.person_id,
        max(events.event_date) as latest_date
    from events
    inner join codelists on events.concept_id = codelists.concept_id
    where
        codelists.codelist = 'type_1_opt_out_withdrawn'
        and events.entered_date < $as_of_date
        and events.event_date < $as_of_date
    group by events.person_id
),

opted_out as (
    select dissents.person_id
    from dissents
    left join withdrawals on dissents.person_id = withdrawals.person_id
    where
        dissents.has_undated = 1
        or withdrawals.latest_date is null
        or withdrawals.latest_date <= dissents.latest_date
),

registered as (
    select
        current_registrations.person_id,
        current_registrations.practice_code,
        current_registrations.registered_date,
        current_registrations.birth_date,
        current_registrations.sex,
        current_registrations.lsoa_code
    from current_registrations
    where
        current_registrations.preference = 1
        and current_registrations.birth_date < $as_of_date
        and current_registrations.person_id not in (select deaths.person_id from deaths)
        and current_registrations.person_id not in (select opted_out.person_id from opted_out)
),

stated_ethnic_groups as (
    select
        events.person_id,
        ethnic_groups.ethnic_group,
        row_number() over (
            partition by events.person_id
            order by events.event_date desc nulls last, events.entered_date desc, ethnic_groups.ethnic_group asc
        ) as preference
    from events
    inner join ethnic_groups on events.concept_id = ethnic_groups.concept_id
    inner join registered
        on
            events.person_id = registered.person_id
            and events.practice_code = registered.practice_code
    where
        events.entered_date < $as_of_date
        and (events.event_date is null or events.event_date < $as_of_date)
)

select
    registered.person_id,
    registered.practice_code,
    $icb_code as icb_code,
    registered.registered_date,
    registered.birth_date,
    cast(
        year($as_of_date) - year(registered.birth_date)
        - case
            when
                month($as_of_date) * 100 + day($as_of_date)
                < month(registered.birth_date) * 100 + day(registered.birth_date)
                then 1
            else 0
        end as smallint
    ) as age_years,
    registered.sex,
    stated_ethnic_groups.ethnic_group,
    lsoas.imd_decile
from registered
left join stated_ethnic_groups
    on
        registered.person_id = stated_ethnic_groups.person_id
        and stated_ethnic_groups.preference = 1
left join lsoas on registered.lsoa_code = lsoas.lsoa_code
order by registered.practice_code, registered.person_id
