-- makes: score_inputs, what published scores take from a person's record
-- reads: people, conditions, measurements, medications, codelists, score_rules
-- parameters: as_of_date
-- grain: one row per person, score and input that the record answers
with input_names as (
    select
        score_rules.input_number,
        min(score_rules.score) as score,
        min(score_rules.input) as input
    from score_rules
    group by score_rules.input_number
),

issues as (
    select
        people.person_id,
        score_rules.place,
        max(medications.issued_date) as recorded_date,
        count(*) as issues
    from medications
    inner join codelists on medications.product_id = codelists.concept_id
    inner join score_rules
        on
            codelists.codelist = score_rules.codelist
            and score_rules.kind = 'issues'
            and medications.issued_date >= score_rules.window_start
    inner join people
        on
            medications.person_id = people.person_id
            and medications.practice_code = people.practice_code
    where
        medications.issued_date < $as_of_date
        and medications.entered_date < $as_of_date
    group by people.person_id, score_rules.place
),

-- An input is true if each of its parts has a rule that holds.
evidence as (
    select
        conditions.person_id,
        score_rules.input_number,
        score_rules.part,
        score_rules.parts,
        conditions.latest_date as recorded_date
    from conditions
    inner join score_rules on conditions.condition = score_rules.codelist
    where
        score_rules.kind = 'code'
        or (score_rules.kind = 'unresolved' and conditions.is_unresolved)
    union all
    select
        issues.person_id,
        score_rules.input_number,
        score_rules.part,
        score_rules.parts,
        issues.recorded_date
    from issues
    inner join score_rules
        on
            issues.place = score_rules.place
            and issues.issues >= score_rules.at_least
    union all
    select
        measurements.person_id,
        score_rules.input_number,
        score_rules.part,
        score_rules.parts,
        measurements.measured_date as recorded_date
    from measurements
    inner join score_rules
        on
            measurements.measure = score_rules.codelist
            and score_rules.kind = 'measurement'
            and measurements.value >= score_rules.at_least
),

flags as (
    select
        evidence.person_id,
        evidence.input_number,
        max(evidence.recorded_date) as recorded_date
    from evidence
    group by evidence.person_id, evidence.input_number
    having count(distinct evidence.part) = max(evidence.parts)
),

-- The latest status counts; of two on one day the one listed first.
statuses as (
    select
        conditions.person_id,
        score_rules.input_number,
        score_rules.value,
        conditions.latest_date as recorded_date,
        row_number() over (
            partition by conditions.person_id, score_rules.status_group
            order by conditions.latest_date desc, score_rules.place asc
        ) as preference
    from conditions
    inner join score_rules
        on
            conditions.condition = score_rules.codelist
            and score_rules.kind = 'status'
),

numbers as (
    select
        measurements.person_id,
        score_rules.input_number,
        case score_rules.kind when 'spread' then measurements.spread else measurements.value end as value,
        measurements.measured_date as recorded_date
    from measurements
    inner join score_rules
        on
            measurements.measure = score_rules.codelist
            and score_rules.kind in ('measurement', 'spread')
            and score_rules.at_least is null
            and measurements.measured_date >= coalesce(score_rules.window_start, measurements.measured_date)
),

-- A quotient of two measures, both of one day.
pairs as (
    select
        measurements.person_id,
        score_rules.input_number,
        measurements.measured_date,
        measurements.value,
        row_number() over (
            partition by measurements.person_id, score_rules.input_number, measurements.measured_date
            order by score_rules.codelist_place asc
        ) as position
    from measurements
    inner join score_rules
        on
            measurements.measure = score_rules.codelist
            and score_rules.kind = 'quotient'
            and measurements.measured_date >= score_rules.window_start
),

quotients as (
    select
        pairs.person_id,
        pairs.input_number,
        max(case when pairs.position = 1 then pairs.value end)
        / max(case when pairs.position = 2 then pairs.value end) as value,
        pairs.measured_date as recorded_date
    from pairs
    group by pairs.person_id, pairs.input_number, pairs.measured_date
    having count(*) = 2
),

dates as (
    select
        conditions.person_id,
        score_rules.input_number,
        conditions.latest_date as recorded_date
    from conditions
    inner join score_rules
        on
            conditions.condition = score_rules.codelist
            and score_rules.kind = 'date'
),

together as (
    select
        flags.person_id,
        flags.input_number,
        1 as value,
        flags.recorded_date
    from flags
    union all
    select
        statuses.person_id,
        statuses.input_number,
        statuses.value,
        statuses.recorded_date
    from statuses
    where statuses.preference = 1
    union all
    select
        numbers.person_id,
        numbers.input_number,
        numbers.value,
        numbers.recorded_date
    from numbers
    union all
    select
        quotients.person_id,
        quotients.input_number,
        quotients.value,
        quotients.recorded_date
    from quotients
    union all
    select
        dates.person_id,
        dates.input_number,
        1 as value,
        dates.recorded_date
    from dates
)

select
    together.person_id,
    input_names.score,
    input_names.input,
    cast(together.value as double) as value,
    together.recorded_date
from together
inner join input_names on together.input_number = input_names.input_number
where together.value is not null
order by together.person_id, together.input_number
