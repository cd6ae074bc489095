-- makes: programme_states, where each person stands with each screening, immunisation and recall programme
-- reads: people, programme_records, programme_rules, programmes
-- parameters: as_of_date
-- grain: one row per person and programme for which the person is eligible, at the event that is due now or next
with due as (
    select
        people.person_id,
        people.practice_code,
        people.registered_date,
        programmes.programme,
        programmes.is_called_by_practice,
        programme_rules.event,
        programme_rules.due_on,
        programme_rules.lead_days,
        programme_rules.grace_days,
        programme_rules.settled_days,
        programme_rules.interval_days is not null as is_repeated,
        programme_rules.unsuitable_lasts_days,
        programme_records.doses,
        programme_records.is_excluded,
        programme_records.is_done_elsewhere,
        programme_records.last_done_date,
        programme_records.booked_date,
        programme_records.missed_date,
        programme_records.no_response_date,
        programme_records.declined_date,
        programme_records.unsuitable_date,
        programme_records.invited_date,
        programme_records.invited_by,
        programme_records.second_last_invitation_date,
        programme_records.third_last_invitation_date,
        programme_records.declined_date + programme_rules.decline_lasts_days as declined_until,
        greatest(
            programme_records.first_due_date,
            programme_records.last_done_date
            + case
                when programme_records.is_clear then programme_rules.clear_interval_days
                when programme_rules.interval_days is not null then programme_rules.interval_days
                when programme_rules.dose > 1 then programme_rules.due_after_days
            end
        ) as due_date,
        programme_records.last_done_date
        + case
            when programme_records.is_clear then programme_rules.clear_window_days
            else programme_rules.window_days
        end as covered_until,
        case
            when programme_rules.dose is not null then programme_records.doses >= programme_rules.dose
            when programme_rules.due_on is not null
                then coalesce(programme_records.last_done_date >= programme_rules.due_on, false)
            when programme_records.is_clear
                then programme_records.last_done_date + programme_rules.clear_window_days >= $as_of_date
            when programme_rules.window_days is not null
                then coalesce(
                    programme_records.last_done_date + programme_rules.window_days >= $as_of_date, false
                )
            else programme_records.last_done_date is not null
        end as is_covered,
        programme_rules.is_inferred
        and (
            programme_rules.reached_months is null
            or people.birth_date + programme_rules.reached_months * interval '1 month' <= $as_of_date
        ) as is_reached
    from programme_records
    inner join people on programme_records.person_id = people.person_id
    inner join programme_rules on programme_records.rule_number = programme_rules.rule_number
    inner join programmes on programme_records.programme = programmes.programme
),

judged as (
    select
        due.person_id,
        due.practice_code,
        due.programme,
        due.event,
        due.is_called_by_practice,
        due.doses,
        due.is_excluded,
        due.is_covered,
        due.is_done_elsewhere,
        due.is_reached,
        due.last_done_date,
        due.due_date,
        due.booked_date,
        due.missed_date,
        due.no_response_date,
        due.invited_date,
        due.invited_by,
        due.second_last_invitation_date,
        due.third_last_invitation_date,
        due.declined_until,
        -- The day from which an invitation or a missed call counts. Where a test is not repeated, done is done; where
        -- it is, an unanswered call since it fell due beats an old test that still covers.
        case
            when due.is_repeated or not due.is_covered
                then greatest(due.due_date - due.lead_days, due.last_done_date + 1)
        end as counts_from,
        coalesce(case when due.is_repeated then due.covered_until end, due.due_date + due.grace_days) as overdue_from,
        coalesce(
            due.declined_until >= $as_of_date
            and due.declined_date >= coalesce(due.due_on, due.declined_date)
            and due.declined_date > coalesce(due.last_done_date, due.declined_date - 1),
            false
        ) as is_declined,
        coalesce(
            due.unsuitable_date >= coalesce(due.last_done_date, due.unsuitable_date)
            and coalesce(due.unsuitable_date + due.unsuitable_lasts_days >= $as_of_date, true),
            false
        ) as is_unsuitable,
        -- Silence says something of those who were there long enough, or when it fell due.
        due.registered_date + due.settled_days <= $as_of_date or due.registered_date <= due.due_date as is_settled
    from due
),

called as (
    select
        judged.person_id,
        judged.practice_code,
        judged.programme,
        judged.event,
        judged.is_called_by_practice,
        judged.doses,
        judged.is_excluded,
        judged.is_covered,
        judged.is_done_elsewhere,
        judged.is_reached,
        judged.is_declined,
        judged.is_unsuitable,
        judged.is_settled,
        judged.last_done_date,
        judged.due_date,
        judged.overdue_from,
        judged.declined_until,
        case when judged.booked_date >= judged.counts_from then judged.booked_date end as booked_date,
        case when judged.missed_date >= judged.counts_from then judged.missed_date end as missed_date,
        case when judged.no_response_date >= judged.counts_from then judged.no_response_date end as no_response_date,
        case when judged.invited_date >= judged.counts_from then judged.invited_date end as invited_date,
        case when judged.invited_date >= judged.counts_from then judged.invited_by end as invited_by,
        case
            when judged.third_last_invitation_date >= judged.counts_from then 3
            when judged.second_last_invitation_date >= judged.counts_from then 2
            when judged.invited_date >= judged.counts_from then 1
            else 0
        end as invitations
    from judged
),

-- The latest of what happened since it fell due says where the person stands.
answered as (
    select
        called.person_id,
        called.practice_code,
        called.programme,
        called.event,
        called.is_called_by_practice,
        called.doses,
        called.is_excluded,
        called.is_covered,
        called.is_done_elsewhere,
        called.is_reached,
        called.is_declined,
        called.is_unsuitable,
        called.is_settled,
        called.last_done_date,
        called.due_date,
        called.overdue_from,
        called.declined_until,
        called.invited_date,
        called.invited_by,
        called.invitations,
        case
            when
                called.booked_date = greatest(called.booked_date, called.invited_date)
                and called.booked_date > coalesce(called.missed_date, called.booked_date - 1)
                and called.booked_date > coalesce(called.no_response_date, called.booked_date - 1)
                then 'booked'
            when
                called.no_response_date = greatest(
                    called.no_response_date, called.missed_date, called.invited_date
                )
                then 'did_not_respond'
            when called.missed_date = greatest(called.missed_date, called.invited_date) then 'did_not_attend'
            when called.invitations = 1 then 'invited_once'
            when called.invitations = 2 then 'invited_twice'
            when called.invitations = 3 then 'invited_three_times'
        end as answer
    from called
),

states as (
    select
        answered.person_id,
        answered.practice_code,
        answered.programme,
        answered.event,
        case
            when answered.is_excluded then 'not_eligible'
            when answered.is_unsuitable then 'unsuitable'
            when answered.is_declined then 'declined'
            when answered.answer is not null then answered.answer
            when answered.is_covered and answered.is_done_elsewhere then 'done_elsewhere'
            when answered.is_covered or (answered.doses > 0 and answered.due_date > $as_of_date) then 'up_to_date'
            when answered.due_date > $as_of_date or not answered.is_reached then 'not_yet_due'
            when not answered.is_settled or answered.overdue_from >= $as_of_date then 'due'
            when answered.is_called_by_practice then 'overdue_never_invited'
            else 'did_not_respond'
        end as state,
        case
            when
                answered.is_excluded
                or answered.is_unsuitable
                or answered.is_declined
                or answered.is_covered
                or answered.answer is not null
                then 'coded'
            when answered.is_settled and answered.is_reached then 'inferred'
            else 'unknown'
        end as grade,
        answered.due_date,
        answered.overdue_from,
        answered.last_done_date,
        case when answered.is_declined then answered.declined_until end as declined_until,
        answered.invitations,
        answered.invited_date,
        answered.invited_by,
        answered.is_covered
    from answered
)

select
    states.person_id,
    states.practice_code,
    states.programme,
    states.event,
    states.state,
    states.grade,
    states.due_date,
    case
        when
            states.state not in (
                'not_eligible', 'not_yet_due', 'unsuitable', 'declined', 'done_elsewhere', 'up_to_date'
            )
            then cast(greatest(date_diff('day', states.due_date, $as_of_date), 0) as integer)
    end as days_overdue,
    states.last_done_date,
    states.declined_until,
    cast(states.invitations as smallint) as invitations,
    states.invited_date as last_invited_date,
    states.invited_by as last_invited_by,
    states.is_covered,
    states.state in ('did_not_attend', 'did_not_respond', 'overdue_never_invited')
    or (
        states.state in ('invited_once', 'invited_twice', 'invited_three_times')
        and states.overdue_from < $as_of_date
    ) as is_gap
from states
order by states.practice_code, states.person_id, states.programme
