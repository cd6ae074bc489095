-- makes: people_not_seen, registered people whom the practice has not seen or whom no count reaches, and why
-- reads: people, conditions, contacts, events, medications, spells, emergency_attendances, risk_scores?, not_seen_rules
-- parameters: as_of_date
-- grain: one row per person with at least one reason
with seen as (
    select
        people.person_id,
        max(case when contacts.contact_kind <> 'appointment_missed' then contacts.contact_date end) as last_seen_date,
        max(contacts.contact_date) as last_contact_date
    from contacts
    inner join people
        on
            contacts.person_id = people.person_id
            and contacts.practice_code = people.practice_code
    where contacts.contact_date < $as_of_date
    group by people.person_id
),

-- Nothing is known of contacts before a practice's first one on file.
known_from as (
    select
        contacts.practice_code,
        min(contacts.contact_date) as first_date
    from contacts
    group by contacts.practice_code
),

-- The last day of each source; a person has at most one row in each.
entries as (
    select
        events.person_id,
        max(events.event_date) as trace_date
    from events
    inner join people
        on
            events.person_id = people.person_id
            and events.practice_code = people.practice_code
    where
        events.entered_date < $as_of_date
        and events.event_date < $as_of_date
    group by events.person_id
),

medicines as (
    select
        medications.person_id,
        max(medications.issued_date) as trace_date
    from medications
    where
        medications.entered_date < $as_of_date
        and medications.issued_date < $as_of_date
    group by medications.person_id
),

stays as (
    select
        spells.person_id,
        max(spells.admitted_date) as trace_date
    from spells
    where
        spells.entered_date < $as_of_date
        and spells.admitted_date < $as_of_date
    group by spells.person_id
),

attendances as (
    select
        emergency_attendances.person_id,
        max(emergency_attendances.arrived_date) as trace_date
    from emergency_attendances
    where
        emergency_attendances.entered_date < $as_of_date
        and emergency_attendances.arrived_date < $as_of_date
    group by emergency_attendances.person_id
),

traced as (
    select
        people.person_id,
        people.practice_code,
        people.registered_date,
        seen.last_seen_date,
        seen.last_contact_date,
        entries.trace_date as entered_date,
        medicines.trace_date as prescribed_date,
        stays.trace_date as admitted_date,
        attendances.trace_date as attended_date,
        greatest(
            seen.last_contact_date,
            entries.trace_date,
            medicines.trace_date,
            stays.trace_date,
            attendances.trace_date
        ) as last_trace_date
    from people
    left join seen on people.person_id = seen.person_id
    left join entries on people.person_id = entries.person_id
    left join medicines on people.person_id = medicines.person_id
    left join stays on people.person_id = stays.person_id
    left join attendances on people.person_id = attendances.person_id
),

unseen as (
    select
        traced.person_id,
        traced.practice_code,
        traced.registered_date,
        traced.last_seen_date,
        traced.last_trace_date,
        -- Of several on one day the first by name.
        case traced.last_trace_date
            when traced.attended_date then 'A&E'
            when traced.last_contact_date then 'appointment'
            when traced.entered_date then 'entry in the record'
            when traced.admitted_date then 'hospital'
            when traced.prescribed_date then 'medicine'
        end as last_trace,
        -- Since when the practice is known not to have seen the person.
        coalesce(traced.last_seen_date, greatest(traced.registered_date, known_from.first_date)) as not_seen_since,
        coalesce(traced.last_trace_date, traced.registered_date) as no_trace_since
    from traced
    left join known_from on traced.practice_code = known_from.practice_code
),

-- Only the longest time without a contact is a reason.
no_contact as (
    select
        unseen.person_id,
        min(not_seen_rules.reason_number) as reason_number
    from unseen
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'no_contact'
            and unseen.not_seen_since < not_seen_rules.since
            and unseen.registered_date < not_seen_rules.since
    group by unseen.person_id
),

missed as (
    select
        contacts.person_id,
        not_seen_rules.reason_number
    from contacts
    inner join people
        on
            contacts.person_id = people.person_id
            and contacts.practice_code = people.practice_code
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'missed'
            and contacts.contact_date >= not_seen_rules.since
    where
        contacts.contact_kind = 'appointment_missed'
        and contacts.contact_date < $as_of_date
    group by contacts.person_id, not_seen_rules.reason_number, not_seen_rules.at_least
    having count(*) >= not_seen_rules.at_least
),

emergency_only as (
    select
        emergency_attendances.person_id,
        not_seen_rules.reason_number
    from emergency_attendances
    inner join unseen on emergency_attendances.person_id = unseen.person_id
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'emergency_only'
            and emergency_attendances.arrived_date >= not_seen_rules.since
            and unseen.not_seen_since < not_seen_rules.since
    where
        emergency_attendances.entered_date < $as_of_date
        and emergency_attendances.arrived_date < $as_of_date
    group by emergency_attendances.person_id, not_seen_rules.reason_number, not_seen_rules.at_least
    having count(*) >= not_seen_rules.at_least
),

other as (
    select
        unseen.person_id,
        not_seen_rules.reason_number
    from unseen
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'new'
            and unseen.registered_date >= not_seen_rules.since
            and unseen.registered_date < not_seen_rules.settled_by
            and (unseen.last_seen_date is null or unseen.last_seen_date < unseen.registered_date)
    union all
    select
        unseen.person_id,
        not_seen_rules.reason_number
    from unseen
    inner join conditions on unseen.person_id = conditions.person_id
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'condition'
            and conditions.condition = not_seen_rules.key
            and conditions.latest_date >= coalesce(not_seen_rules.since, conditions.latest_date)
    union all
    select
        unseen.person_id,
        not_seen_rules.reason_number
    from unseen
    inner join risk_scores on unseen.person_id = risk_scores.person_id
    inner join not_seen_rules on not_seen_rules.kind = 'unscored'
    where risk_scores.unscored_reason is not null
),

reasons as (
    select
        no_contact.person_id,
        no_contact.reason_number
    from no_contact
    union all
    select
        missed.person_id,
        missed.reason_number
    from missed
    union all
    select
        emergency_only.person_id,
        emergency_only.reason_number
    from emergency_only
    union all
    select
        other.person_id,
        other.reason_number
    from other
),

people_with_reasons as (
    select
        reasons.person_id,
        string_agg(not_seen_rules.reason, '|' order by not_seen_rules.reason_number asc) as reasons,
        sum(not_seen_rules.weight) as priority
    from reasons
    inner join not_seen_rules on reasons.reason_number = not_seen_rules.reason_number
    group by reasons.person_id
),

-- Kept apart from the reasons: it asks for a check of the address, not for a call to care.
ghosts as (
    select unseen.person_id
    from unseen
    inner join not_seen_rules
        on
            not_seen_rules.kind = 'no_trace'
            and unseen.no_trace_since < not_seen_rules.since
            and unseen.registered_date < not_seen_rules.since
    group by unseen.person_id
)

select
    unseen.person_id,
    unseen.practice_code,
    -- The weightiest reasons first, then the longest not seen; who may have moved away comes last.
    row_number() over (
        partition by unseen.practice_code
        order by
            ghosts.person_id is not null asc,
            people_with_reasons.priority desc,
            unseen.not_seen_since asc nulls last,
            unseen.person_id asc
    ) as rank,
    cast(people_with_reasons.priority as smallint) as priority,
    people_with_reasons.reasons,
    unseen.registered_date,
    unseen.last_seen_date,
    unseen.not_seen_since,
    unseen.last_trace_date,
    unseen.last_trace,
    ghosts.person_id is not null as is_possible_ghost
from people_with_reasons
inner join unseen on people_with_reasons.person_id = unseen.person_id
left join ghosts on people_with_reasons.person_id = ghosts.person_id
order by unseen.practice_code, unseen.person_id
