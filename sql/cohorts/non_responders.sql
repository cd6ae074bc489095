-- makes: non_responders, where each eligible person stands with screening and immunisation
-- reads: people, conditions, events, codelists, programmes, programme_codelists, risk_groups
-- parameters: as_of_date
-- grain: one row per person and programme for which the person is eligible
with people_at_risk as (
    select
        conditions.person_id,
        risk_groups.risk_group
    from conditions
    inner join risk_groups on conditions.condition = risk_groups.codelist
    group by conditions.person_id, risk_groups.risk_group
),

-- Rules of one programme do not overlap but for flu, where age comes before risk group.
eligible as (
    select
        people.person_id,
        people.practice_code,
        people.registered_date,
        people.birth_date,
        programmes.programme,
        programmes.interval_days,
        programmes.doses,
        programmes.settled_by,
        programmes.inferred_born_by,
        programmes.declined_from,
        coalesce(programmes.counted_from, people.birth_date) as counted_from,
        cast(
            people.birth_date + coalesce(programmes.dose_from_months, 0) * interval '1 month' as date
        ) as dose_from,
        coalesce(
            programmes.season_from,
            cast(people.birth_date + programmes.age_from_months * interval '1 month' as date)
        ) as first_due_date,
        row_number() over (
            partition by people.person_id, programmes.programme
            order by programmes.rule asc
        ) as preference
    from people
    inner join programmes
        on
            people.birth_date <= programmes.born_by
            and people.birth_date >= coalesce(programmes.born_from, people.birth_date)
            and people.sex = coalesce(programmes.sex, people.sex)
    left join people_at_risk
        on
            people.person_id = people_at_risk.person_id
            and programmes.risk_group = people_at_risk.risk_group
    where
        programmes.risk_group is null
        or people_at_risk.person_id is not null
),

programme_codes as (
    select
        programme_codelists.programme,
        programme_codelists.role,
        codelists.concept_id
    from programme_codelists
    inner join codelists on programme_codelists.codelist = codelists.codelist
),

-- One row a day and role: two codes for one test, or one invitation, are one event.
entries as (
    select
        eligible.person_id,
        eligible.programme,
        programme_codes.role,
        events.event_date
    from events
    inner join programme_codes on events.concept_id = programme_codes.concept_id
    inner join eligible
        on
            events.person_id = eligible.person_id
            and events.practice_code = eligible.practice_code
            and programme_codes.programme = eligible.programme
            and eligible.preference = 1
    where
        events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= eligible.birth_date
        and (programme_codes.role <> 'done' or events.event_date >= eligible.dose_from)
    group by eligible.person_id, eligible.programme, programme_codes.role, events.event_date
),

history as (
    select
        eligible.person_id,
        eligible.programme,
        max(case when entries.role = 'done' then entries.event_date end) as last_done_date,
        max(case when entries.role = 'no_response' then entries.event_date end) as last_no_response_date,
        max(case when entries.role = 'declined' then entries.event_date end) as last_declined_date,
        max(case when entries.role = 'unsuitable' then entries.event_date end) as last_unsuitable_date,
        max(case when entries.role = 'invited' then entries.event_date end) as last_invited_date,
        count(
            case when entries.role = 'done' and entries.event_date >= eligible.counted_from then 1 end
        ) as doses_counted
    from eligible
    left join entries
        on
            eligible.person_id = entries.person_id
            and eligible.programme = entries.programme
    where eligible.preference = 1
    group by eligible.person_id, eligible.programme
),

due as (
    select
        eligible.person_id,
        eligible.practice_code,
        eligible.programme,
        eligible.interval_days,
        case
            when eligible.interval_days is null then eligible.first_due_date
            else greatest(eligible.first_due_date, history.last_done_date + eligible.interval_days)
        end as due_date,
        history.last_no_response_date,
        history.last_done_date,
        history.last_invited_date,
        history.doses_counted >= eligible.doses as is_done,
        history.last_declined_date >= eligible.declined_from
        and coalesce(history.last_done_date < history.last_declined_date, true) as is_declined,
        history.last_unsuitable_date is not null
        and coalesce(history.last_done_date <= history.last_unsuitable_date, true) as is_unsuitable,
        eligible.registered_date <= eligible.settled_by
        and eligible.birth_date <= coalesce(eligible.inferred_born_by, eligible.birth_date) as can_be_inferred
    from eligible
    inner join history
        on
            eligible.person_id = history.person_id
            and eligible.programme = history.programme
    where eligible.preference = 1
),

-- Where a test is repeated, a coded non-response since it fell due beats an old test that still covers: the last call
-- went unanswered. Where it is not repeated, done is done.
judged as (
    select
        due.person_id,
        due.practice_code,
        due.programme,
        due.due_date,
        due.last_done_date,
        due.last_invited_date,
        due.is_done,
        coalesce(due.is_declined, false) as is_declined,
        due.is_unsuitable,
        due.can_be_inferred,
        coalesce(due.last_no_response_date >= due.due_date, false)
        and (not due.is_done or due.interval_days is not null) as has_no_response
    from due
),

states as (
    select
        judged.person_id,
        judged.practice_code,
        judged.programme,
        judged.due_date,
        judged.last_done_date,
        judged.last_invited_date,
        case
            when judged.is_unsuitable then 'unsuitable'
            when judged.is_declined then 'declined'
            when judged.has_no_response then 'non_responder'
            when judged.is_done then 'up_to_date'
            when judged.can_be_inferred then 'non_responder'
            else 'not_eligible'
        end as state,
        case
            when judged.is_unsuitable or judged.is_declined or judged.has_no_response or judged.is_done then 'coded'
            when judged.can_be_inferred then 'inferred'
            else 'unknown'
        end as grade
    from judged
),

invitations as (
    select
        states.person_id,
        states.programme,
        count(*) as invitations
    from states
    inner join entries
        on
            states.person_id = entries.person_id
            and states.programme = entries.programme
            and states.due_date <= entries.event_date
    where entries.role = 'invited'
    group by states.person_id, states.programme
)

select
    states.person_id,
    states.practice_code,
    states.programme,
    states.state,
    states.grade,
    states.due_date,
    states.last_done_date,
    cast(coalesce(invitations.invitations, 0) as smallint) as invitations,
    states.last_invited_date
from states
left join invitations
    on
        states.person_id = invitations.person_id
        and states.programme = invitations.programme
order by states.practice_code, states.person_id, states.programme
