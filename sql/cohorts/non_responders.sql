-- makes: non_responders, the people with an open gap in any programme, all their gaps in one row
-- reads: people, programme_states, programmes, contacts, measurements, seen_measures
-- parameters: as_of_date
-- grain: one row per person with at least one gap, ranked within the practice
with gaps as (
    select
        programme_states.person_id,
        programme_states.programme,
        programme_states.days_overdue,
        programmes.harm,
        -- A gap weighs more with each day, up to three years' worth.
        programmes.harm * least(365 + programme_states.days_overdue, 1095) as points
    from programme_states
    inner join programmes on programme_states.programme = programmes.programme
    where programme_states.is_gap
),

-- Of the programmes that were ever due, in how many was the person ever done?
past as (
    select
        programme_states.person_id,
        count(*) as asked,
        count(programme_states.last_done_date) as answered
    from programme_states
    where
        programme_states.state <> 'not_eligible'
        and (
            programme_states.due_date <= $as_of_date
            or programme_states.is_gap
            or programme_states.last_done_date is not null
        )
    group by programme_states.person_id
),

people_with_gaps as (
    select
        gaps.person_id,
        count(*) as gap_count,
        max(gaps.harm) as harm,
        max(gaps.days_overdue) as days_overdue,
        sum(gaps.points) as points,
        string_agg(gaps.programme, '|' order by gaps.points desc, gaps.programme asc) as gaps
    from gaps
    group by gaps.person_id
),

-- Whom it matters of when they were last seen.
missing as (
    select
        people.person_id,
        people.practice_code
    from people
    inner join people_with_gaps on people.person_id = people_with_gaps.person_id
),

seen_days as (
    select
        contacts.person_id,
        contacts.contact_date as seen_date,
        contacts.contact_kind as seen_for
    from contacts
    inner join missing
        on
            contacts.person_id = missing.person_id
            and contacts.practice_code = missing.practice_code
    where
        contacts.contact_date < $as_of_date
        and contacts.contact_kind <> 'appointment_missed'
    union all
    select
        measurements.person_id,
        measurements.measured_date as seen_date,
        seen_measures.seen_for
    from measurements
    inner join missing on measurements.person_id = missing.person_id
    inner join seen_measures on measurements.measure = seen_measures.measure
),

last_days as (
    select
        seen_days.person_id,
        max(seen_days.seen_date) as last_seen_date
    from seen_days
    group by seen_days.person_id
),

-- On one day a test says more of what the person came for than an appointment does.
seen as (
    select
        last_days.person_id,
        last_days.last_seen_date,
        coalesce(
            min(case when seen_days.seen_for like '%test%' then seen_days.seen_for end), max(seen_days.seen_for)
        ) as last_seen_for
    from last_days
    inner join seen_days
        on
            last_days.person_id = seen_days.person_id
            and last_days.last_seen_date = seen_days.seen_date
    group by last_days.person_id, last_days.last_seen_date
),

weighed as (
    select
        people_with_gaps.person_id,
        people_with_gaps.gap_count,
        people_with_gaps.harm,
        people_with_gaps.days_overdue,
        people_with_gaps.gaps,
        people.practice_code,
        people.birth_date,
        past.answered,
        past.asked,
        -- Half the weight whatever the past, the other half by how often the person came before.
        cast(
            floor(people_with_gaps.points * (past.asked + past.answered) / (2.0 * past.asked)) as bigint
        ) as priority
    from people_with_gaps
    inner join people on people_with_gaps.person_id = people.person_id
    inner join past on people_with_gaps.person_id = past.person_id
)

select
    weighed.person_id,
    weighed.practice_code,
    row_number() over (
        partition by weighed.practice_code
        order by
            weighed.priority desc,
            weighed.harm desc,
            weighed.days_overdue desc,
            weighed.birth_date asc,
            weighed.person_id asc
    ) as rank,
    weighed.priority,
    cast(weighed.gap_count as smallint) as gap_count,
    weighed.gaps,
    weighed.days_overdue,
    cast(weighed.answered as smallint) as answered_before,
    cast(weighed.asked as smallint) as asked_before,
    seen.last_seen_date,
    seen.last_seen_for
from weighed
left join seen on weighed.person_id = seen.person_id
order by weighed.practice_code, rank
