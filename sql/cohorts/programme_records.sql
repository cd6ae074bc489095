-- makes: programme_records, what is on record for each person in each programme, and the event that counts now
-- reads: people, conditions, person_features, measurements, events, medications, programmes, programme_rules, programme_codes, programme_measures, rule_conditions, rule_features
-- parameters: as_of_date
-- grain: one row per person and programme for which the person is eligible
with coded as (
    select
        people.person_id,
        programme_codes.programme_number,
        programme_codes.role,
        programme_codes.result,
        programme_codes.channel,
        events.event_date
    from events
    inner join programme_codes on events.concept_id = programme_codes.concept_id
    inner join people
        on
            events.person_id = people.person_id
            and events.practice_code = people.practice_code
    where
        events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= people.birth_date
        and (
            programme_codes.valid_months = 0
            or events.event_date >= people.birth_date + programme_codes.valid_months * interval '1 month'
        )
    union all
    select
        people.person_id,
        programme_codes.programme_number,
        programme_codes.role,
        programme_codes.result,
        programme_codes.channel,
        medications.issued_date as event_date
    from medications
    inner join programme_codes on medications.product_id = programme_codes.concept_id
    inner join people
        on
            medications.person_id = people.person_id
            and medications.practice_code = people.practice_code
    where
        medications.entered_date < $as_of_date
        and medications.issued_date < $as_of_date
        and medications.issued_date >= people.birth_date
        and (
            programme_codes.valid_months = 0
            or medications.issued_date >= people.birth_date + programme_codes.valid_months * interval '1 month'
        )
),

-- Who has what a rule needs (parts 1 and 2) or excludes (part 0), and since when.
parts as (
    select
        conditions.person_id,
        rule_conditions.rule_number,
        rule_conditions.part,
        case
            when rule_conditions.since is null or conditions.first_date >= rule_conditions.since
                then conditions.first_date
            else conditions.latest_date
        end as member_from,
        rule_conditions.born_by,
        rule_conditions.born_from
    from conditions
    inner join rule_conditions on conditions.condition = rule_conditions.condition
    where
        conditions.is_unresolved
        and (rule_conditions.since is null or conditions.latest_date >= rule_conditions.since)
    union all
    select
        person_features.person_id,
        rule_features.rule_number,
        rule_features.part,
        rule_features.since as member_from,
        rule_features.born_by,
        rule_features.born_from
    from person_features
    inner join rule_features on person_features.feature = rule_features.feature
    where person_features.value >= rule_features.at_least
),

members as (
    select
        parts.person_id,
        parts.rule_number,
        parts.born_by,
        parts.born_from,
        max(parts.part) as parts,
        min(parts.member_from) as member_from
    from parts
    where parts.part > 0
    group by parts.person_id, parts.rule_number, parts.born_by, parts.born_from
    having min(parts.part) = 1
),

-- Ages fall on the same days for everybody born on one day, so they are worked out once a day of birth.
births as (
    select people.birth_date
    from people
    group by people.birth_date
),

calendar as (
    select
        births.birth_date,
        programme_rules.rule_number,
        programme_rules.programme_number,
        programme_rules.dose,
        programme_rules.sex,
        cast(
            births.birth_date + programme_rules.due_months * interval '1 month'
            + programme_rules.due_days * interval '1 day' as date
        ) as age_due_date
    from births
    inner join programme_rules
        on
            births.birth_date <= programme_rules.born_by
            and births.birth_date >= programme_rules.born_from
    where programme_rules.needed_groups = 0
),

-- A test on record that the registered sex would not suggest.
tested as (
    select
        coded.person_id,
        programme_rules.rule_number
    from coded
    inner join programme_rules on coded.programme_number = programme_rules.programme_number
    inner join people
        on
            coded.person_id = people.person_id
            and programme_rules.sex <> people.sex
    where
        programme_rules.has_sex_override
        and coded.role in ('done', 'done_elsewhere')
    group by coded.person_id, programme_rules.rule_number
),

-- By age and sex; by what is on record; by a test whatever the sex.
eligible as (
    select
        people.person_id,
        calendar.programme_number,
        calendar.rule_number,
        calendar.dose,
        calendar.age_due_date,
        cast(null as date) as member_from
    from people
    inner join calendar
        on
            people.birth_date = calendar.birth_date
            and people.sex = coalesce(calendar.sex, people.sex)
    union all
    select
        people.person_id,
        programme_rules.programme_number,
        programme_rules.rule_number,
        programme_rules.dose,
        cast(
            people.birth_date + programme_rules.due_months * interval '1 month'
            + programme_rules.due_days * interval '1 day' as date
        ) as age_due_date,
        members.member_from
    from members
    inner join programme_rules
        on
            members.rule_number = programme_rules.rule_number
            and members.parts = programme_rules.needed_groups
    inner join people
        on
            members.person_id = people.person_id
            and members.born_by >= people.birth_date
            and members.born_from <= people.birth_date
    union all
    select
        people.person_id,
        programme_rules.programme_number,
        programme_rules.rule_number,
        programme_rules.dose,
        cast(
            people.birth_date + programme_rules.due_months * interval '1 month'
            + programme_rules.due_days * interval '1 day' as date
        ) as age_due_date,
        cast(null as date) as member_from
    from tested
    inner join programme_rules on tested.rule_number = programme_rules.rule_number
    inner join people on tested.person_id = people.person_id
    where
        people.birth_date <= programme_rules.born_by
        and people.birth_date >= programme_rules.born_from
),

-- Where several measures together are a review, it was done when the last of them was.
measured as (
    select
        eligible.person_id,
        eligible.programme_number,
        min(measurements.measured_date) as event_date
    from eligible
    inner join programme_measures on eligible.programme_number = programme_measures.programme_number
    inner join measurements
        on
            eligible.person_id = measurements.person_id
            and programme_measures.measure = measurements.measure
    group by eligible.person_id, eligible.programme_number, programme_measures.measures_needed
    having count(*) = programme_measures.measures_needed
),

-- A vaccine is recorded as a procedure, as a product or as both: entries of one day, or too close, are one dose.
dose_days as (
    select
        coded.person_id,
        coded.programme_number,
        coded.event_date
    from coded
    inner join programmes on coded.programme_number = programmes.programme_number
    where
        programmes.is_dosed
        and coded.role in ('done', 'done_elsewhere')
    group by coded.person_id, coded.programme_number, coded.event_date
),

spaced_doses as (
    select
        dose_days.person_id,
        dose_days.programme_number,
        dose_days.event_date,
        lag(dose_days.event_date) over (
            partition by dose_days.person_id, dose_days.programme_number
            order by dose_days.event_date asc
        ) as previous_date
    from dose_days
),

doses as (
    select
        spaced_doses.person_id,
        spaced_doses.programme_number,
        count(*) as doses
    from spaced_doses
    inner join programmes on spaced_doses.programme_number = programmes.programme_number
    where
        spaced_doses.previous_date is null
        or spaced_doses.event_date >= spaced_doses.previous_date + programmes.dose_gap_days
    group by spaced_doses.person_id, spaced_doses.programme_number
),

-- Two invitations too close are one; the last three are kept.
invited_days as (
    select
        coded.person_id,
        coded.programme_number,
        coded.event_date,
        min(coded.channel) as channel
    from coded
    where coded.role = 'invited'
    group by coded.person_id, coded.programme_number, coded.event_date
),

spaced_invitations as (
    select
        invited_days.person_id,
        invited_days.programme_number,
        invited_days.event_date,
        invited_days.channel,
        lag(invited_days.event_date) over (
            partition by invited_days.person_id, invited_days.programme_number
            order by invited_days.event_date asc
        ) as previous_date,
        lead(invited_days.event_date) over (
            partition by invited_days.person_id, invited_days.programme_number
            order by invited_days.event_date asc
        ) as next_date
    from invited_days
),

numbered_invitations as (
    select
        spaced_invitations.person_id,
        spaced_invitations.programme_number,
        spaced_invitations.event_date,
        row_number() over (
            partition by spaced_invitations.person_id, spaced_invitations.programme_number
            order by spaced_invitations.event_date desc
        ) as from_last
    from spaced_invitations
    inner join programmes on spaced_invitations.programme_number = programmes.programme_number
    where
        spaced_invitations.previous_date is null
        or spaced_invitations.event_date >= spaced_invitations.previous_date + programmes.invitation_gap_days
),

counted_invitations as (
    select
        numbered_invitations.person_id,
        numbered_invitations.programme_number,
        max(case when numbered_invitations.from_last = 2 then numbered_invitations.event_date end)
            as second_last_date,
        max(case when numbered_invitations.from_last = 3 then numbered_invitations.event_date end) as third_last_date
    from numbered_invitations
    where numbered_invitations.from_last <= 3
    group by numbered_invitations.person_id, numbered_invitations.programme_number
),

invitations as (
    select
        spaced_invitations.person_id,
        spaced_invitations.programme_number,
        spaced_invitations.event_date as invited_date,
        spaced_invitations.channel,
        counted_invitations.second_last_date,
        counted_invitations.third_last_date
    from spaced_invitations
    inner join counted_invitations
        on
            spaced_invitations.person_id = counted_invitations.person_id
            and spaced_invitations.programme_number = counted_invitations.programme_number
    where spaced_invitations.next_date is null
),

-- A run of clear results starts after the last one that was not clear.
results as (
    select
        coded.person_id,
        coded.programme_number,
        max(case when coded.result = 'clear' then coded.event_date end) as clear_date,
        max(case when coded.result = 'not_clear' then coded.event_date end) as not_clear_date
    from coded
    where coded.result is not null
    group by coded.person_id, coded.programme_number
),

clear_runs as (
    select
        results.person_id,
        results.programme_number,
        results.clear_date,
        min(coded.event_date) as clear_since_date
    from results
    inner join coded
        on
            results.person_id = coded.person_id
            and results.programme_number = coded.programme_number
    where
        coded.result = 'clear'
        and (results.not_clear_date is null or coded.event_date > results.not_clear_date)
    group by results.person_id, results.programme_number, results.clear_date
),

-- The event that counts now: the first dose that is missing, or the last when none is; else the first rule that fits.
ordered as (
    select
        eligible.person_id,
        eligible.programme_number,
        eligible.rule_number,
        eligible.age_due_date,
        eligible.member_from,
        coalesce(doses.doses, 0) as doses,
        case
            when eligible.dose is null then eligible.rule_number
            when eligible.dose > coalesce(doses.doses, 0) then eligible.dose * 1000 + eligible.rule_number
            else (100 - eligible.dose) * 1000 + eligible.rule_number
        end as preference
    from eligible
    left join doses
        on
            eligible.person_id = doses.person_id
            and eligible.programme_number = doses.programme_number
),

-- Everything known of a person and programme, one under the other, so that one pass over it says where they stand.
facts as (
    select
        ordered.person_id,
        ordered.programme_number,
        ordered.preference,
        ordered.age_due_date,
        ordered.member_from,
        ordered.doses,
        cast(null as varchar) as role,
        cast(null as date) as event_date
    from ordered
    union all
    select
        coded.person_id,
        coded.programme_number,
        cast(null as integer) as preference,
        cast(null as date) as age_due_date,
        cast(null as date) as member_from,
        cast(null as bigint) as doses,
        coded.role,
        coded.event_date
    from coded
    where coded.role <> 'invited'
    union all
    select
        measured.person_id,
        measured.programme_number,
        cast(null as integer) as preference,
        cast(null as date) as age_due_date,
        cast(null as date) as member_from,
        cast(null as bigint) as doses,
        'done' as role,
        measured.event_date
    from measured
    union all
    select
        parts.person_id,
        programme_rules.programme_number,
        cast(null as integer) as preference,
        cast(null as date) as age_due_date,
        cast(null as date) as member_from,
        cast(null as bigint) as doses,
        'excluded' as role,
        parts.member_from as event_date
    from parts
    inner join programme_rules on parts.rule_number = programme_rules.rule_number
    where parts.part = 0
),

history as (
    select
        facts.person_id,
        facts.programme_number,
        min(facts.preference) % 1000 as rule_number,
        arg_min(facts.age_due_date, facts.preference) as age_due_date,
        arg_min(facts.member_from, facts.preference) as member_from,
        max(facts.doses) as doses,
        max(case when facts.role = 'done' then facts.event_date end) as done_date,
        max(case when facts.role = 'done_elsewhere' then facts.event_date end) as elsewhere_date,
        max(case when facts.role = 'booked' then facts.event_date end) as booked_date,
        max(case when facts.role = 'did_not_attend' then facts.event_date end) as missed_date,
        max(case when facts.role = 'no_response' then facts.event_date end) as no_response_date,
        max(case when facts.role = 'declined' then facts.event_date end) as declined_date,
        max(case when facts.role = 'unsuitable' then facts.event_date end) as unsuitable_date,
        max(case when facts.role = 'excluded' then facts.event_date end) as excluded_date
    from facts
    group by facts.person_id, facts.programme_number
    having min(facts.preference) is not null
)

select
    history.person_id,
    programmes.programme,
    programme_rules.rule_number,
    -- Who never came did not fall due before there was anything to come to.
    greatest(
        case when coalesce(history.done_date, history.elsewhere_date) is null then programme_rules.offered_from end,
        case
            when programme_rules.due_on is not null then programme_rules.due_on
            when programme_rules.is_due_at_age then history.age_due_date
            else greatest(history.age_due_date, history.member_from + coalesce(programme_rules.due_after_days, 0))
        end
    ) as first_due_date,
    cast(history.doses as smallint) as doses,
    history.excluded_date is not null
    or coalesce(programme_rules.dose > history.doses + 1, false) as is_excluded,
    greatest(history.done_date, history.elsewhere_date) as last_done_date,
    coalesce(history.elsewhere_date > history.done_date, history.elsewhere_date is not null) as is_done_elsewhere,
    -- The last test was clear, the result counts, and where two are needed the run of clear ones is long enough.
    coalesce(
        clear_runs.clear_date >= greatest(history.done_date, history.elsewhere_date)
        and clear_runs.clear_date >= programme_rules.clear_since
        and clear_runs.clear_since_date <= clear_runs.clear_date - coalesce(programme_rules.clear_gap_days, 0),
        false
    ) as is_clear,
    history.booked_date,
    history.missed_date,
    history.no_response_date,
    history.declined_date,
    history.unsuitable_date,
    invitations.invited_date,
    invitations.channel as invited_by,
    invitations.second_last_date as second_last_invitation_date,
    invitations.third_last_date as third_last_invitation_date
from history
inner join programme_rules on history.rule_number = programme_rules.rule_number
inner join programmes on history.programme_number = programmes.programme_number
left join clear_runs
    on
        history.person_id = clear_runs.person_id
        and history.programme_number = clear_runs.programme_number
left join invitations
    on
        history.person_id = invitations.person_id
        and history.programme_number = invitations.programme_number
order by history.person_id, history.rule_number
