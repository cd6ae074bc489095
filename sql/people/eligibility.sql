-- makes: eligibility, whether each current regular registration counts a person, or which rule leaves it out
-- reads: registrations, england.registrations, england.dissents, spells, discharge_methods, england.closed_practices, paused_practices, events
-- parameters: as_of_date
-- grain: one row per person and practice with a current regular registration
with current_registrations as (
    select
        registrations.person_id,
        registrations.practice_code,
        max(registrations.registered_date) as registered_date
    from registrations
    where
        registrations.registration_type = 'regular'
        and registrations.registered_date < $as_of_date
        and registrations.birth_date < $as_of_date
        and (registrations.deregistered_date is null or registrations.deregistered_date >= $as_of_date)
    group by registrations.person_id, registrations.practice_code
),

own_people as (
    select distinct current_registrations.person_id
    from current_registrations
),

-- All that any ICB knows of these people: someone may be open in two, and have died or opted out in the other.
known as (
    select
        everywhere.person_id,
        everywhere.practice_code,
        everywhere.registration_type,
        everywhere.registered_date,
        everywhere.deregistered_date,
        everywhere.death_date
    from england.registrations as everywhere
    inner join own_people on everywhere.person_id = own_people.person_id
),

-- Where the person is registered: the latest start wins, then the first practice code; a closed practice never does.
homes as (
    select
        known.person_id,
        known.practice_code,
        row_number() over (
            partition by known.person_id
            order by known.registered_date desc, known.practice_code asc
        ) as preference
    from known
    where
        known.registration_type = 'regular'
        and known.registered_date < $as_of_date
        and (known.deregistered_date is null or known.deregistered_date >= $as_of_date)
        and known.practice_code not in (select closed.practice_code from england.closed_practices as closed)
),

-- Any source that says dead is enough: the death date of any registration, or a spell that ended in death.
deaths as (
    select known.person_id
    from known
    where known.death_date < $as_of_date
    union all
    select spells.person_id
    from spells
    inner join discharge_methods on spells.discharge_method = discharge_methods.discharge_method
    where
        discharge_methods.is_death
        and spells.discharged_date < $as_of_date
        and spells.entered_date < $as_of_date
),

-- Undated or tied dissent means opted out, and so does a withdrawal that is not later than every dissent.
opted_out as (
    select dissents.person_id
    from england.dissents as dissents
    group by dissents.person_id
    having
        max(case when dissents.has_dissent then 1 else 0 end) = 1
        and (
            max(case when dissents.has_undated_dissent then 1 else 0 end) = 1
            or max(dissents.withdrawn_date) is null
            or max(dissents.withdrawn_date) <= max(dissents.dissented_date)
        )
),

-- Dissent is a coded entry: where a practice's entries are missing, nobody can tell who opted out.
practices_with_entries as (
    select distinct events.practice_code
    from events
    where events.entered_date < $as_of_date
)

select
    current_registrations.person_id,
    current_registrations.practice_code,
    current_registrations.registered_date,
    case
        when
            current_registrations.practice_code in (
                select closed.practice_code
                from england.closed_practices as closed
            )
            then 'practice_closed'
        when
            current_registrations.practice_code in (
                select paused_practices.practice_code
                from paused_practices
                where paused_practices.paused_from < $as_of_date
            )
            then 'sharing_paused'
        when current_registrations.person_id in (select deaths.person_id from deaths) then 'died'
        when current_registrations.practice_code <> homes.practice_code then 'registered_elsewhere'
        when
            current_registrations.person_id in (select opted_out.person_id from opted_out)
            then 'type_1_opt_out'
        when
            current_registrations.practice_code not in (
                select practices_with_entries.practice_code from practices_with_entries
            )
            then 'opt_out_unknown'
    end as left_out_by
from current_registrations
left join homes
    on
        current_registrations.person_id = homes.person_id
        and homes.preference = 1
order by current_registrations.practice_code, current_registrations.person_id
