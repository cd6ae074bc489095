-- makes: people, who is registered, alive and not opted out on the as-of date
-- reads: eligibility, registrations, events, lsoas, ethnic_groups
-- parameters: as_of_date, icb_code
-- grain: one row per person
with registered as (
    select
        eligibility.person_id,
        eligibility.practice_code,
        eligibility.registered_date,
        registrations.birth_date,
        registrations.sex,
        registrations.lsoa_code,
        row_number() over (
            partition by eligibility.person_id
            order by registrations.record_id asc nulls last, registrations.birth_date asc
        ) as preference
    from eligibility
    inner join registrations
        on
            eligibility.person_id = registrations.person_id
            and eligibility.practice_code = registrations.practice_code
            and eligibility.registered_date = registrations.registered_date
    where
        eligibility.left_out_by is null
        and registrations.registration_type = 'regular'
        and registrations.birth_date < $as_of_date
        and (registrations.deregistered_date is null or registrations.deregistered_date >= $as_of_date)
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
            and registered.preference = 1
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
where registered.preference = 1
order by registered.practice_code, registered.person_id
