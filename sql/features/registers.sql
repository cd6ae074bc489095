-- makes: registers, which registers each person is on
-- reads: people, conditions, measurements, events, medications, codelists, measure_units, lifestyle_rules, register_rules, register_needs
-- parameters: as_of_date
-- grain: one row per person and register
-- After a resolution the count of time starts again with the next diagnosis.
with restarts as (
    select
        conditions.person_id,
        conditions.condition,
        min(events.event_date) as first_date
    from conditions
    inner join codelists on conditions.condition = codelists.codelist
    inner join people on conditions.person_id = people.person_id
    inner join events
        on
            conditions.person_id = events.person_id
            and codelists.concept_id = events.concept_id
            and people.practice_code = events.practice_code
    where
        conditions.is_unresolved
        and conditions.first_date <= conditions.resolved_date
        and events.event_date > conditions.resolved_date
        and events.event_date < $as_of_date
        and events.entered_date < $as_of_date
    group by conditions.person_id, conditions.condition
),

present as (
    select
        conditions.person_id,
        conditions.condition,
        coalesce(restarts.first_date, conditions.first_date) as first_date,
        conditions.latest_date
    from conditions
    left join restarts
        on
            conditions.person_id = restarts.person_id
            and conditions.condition = restarts.condition
    where conditions.is_unresolved
),

medicines as (
    select
        people.person_id,
        register_needs.register,
        register_needs.rule_number,
        min(medications.issued_date) as first_date,
        max(medications.issued_date) as latest_date
    from medications
    inner join codelists on medications.product_id = codelists.concept_id
    inner join register_needs
        on
            codelists.codelist = register_needs.codelist
            and register_needs.kind = 'medicine'
    inner join people
        on
            medications.person_id = people.person_id
            and medications.practice_code = people.practice_code
    where
        medications.issued_date >= register_needs.date_from
        and medications.issued_date < $as_of_date
        and medications.entered_date < $as_of_date
    group by people.person_id, register_needs.register, register_needs.rule_number
),

-- The threshold for a person's ethnic group, or the one for everybody.
measured as (
    select
        measurements.person_id,
        register_rules.register,
        register_rules.rule_number,
        measurements.measured_date
    from measurements
    inner join register_rules on measurements.measure = register_rules.measure
    inner join people on measurements.person_id = people.person_id
    inner join lifestyle_rules as everybody
        on
            register_rules.threshold = everybody.flag
            and register_rules.measure = everybody.measure
            and everybody.ethnic_group is null
    left join lifestyle_rules as of_group
        on
            register_rules.threshold = of_group.flag
            and register_rules.measure = of_group.measure
            and people.ethnic_group = of_group.ethnic_group
    where measurements.value >= coalesce(of_group.value_from, everybody.value_from)
),

-- Every way onto a register for which the person has the entry, before ages, dates and what else is asked for.
entries as (
    select
        present.person_id,
        register_rules.register,
        register_rules.rule_number,
        present.first_date,
        present.latest_date
    from present
    inner join register_rules on present.condition = register_rules.condition
    union all
    select
        measured.person_id,
        measured.register,
        measured.rule_number,
        measured.measured_date as first_date,
        measured.measured_date as latest_date
    from measured
    union all
    select
        medicines.person_id,
        medicines.register,
        medicines.rule_number,
        medicines.first_date,
        medicines.latest_date
    from medicines
    inner join register_rules
        on
            medicines.register = register_rules.register
            and medicines.rule_number = register_rules.rule_number
    where register_rules.condition is null
),

candidates as (
    select
        entries.person_id,
        people.practice_code,
        people.registered_date,
        register_rules.register,
        register_rules.rule_number,
        register_rules.rule,
        register_rules.needs,
        register_rules.latest_decides,
        entries.first_date,
        entries.latest_date
    from entries
    inner join register_rules
        on
            entries.register = register_rules.register
            and entries.rule_number = register_rules.rule_number
    inner join people on entries.person_id = people.person_id
    left join present as barring
        on
            entries.person_id = barring.person_id
            and register_rules.unless_condition = barring.condition
    where
        barring.person_id is null
        and people.birth_date <= register_rules.born_by
        and people.birth_date >= coalesce(register_rules.born_from, people.birth_date)
        and entries.first_date >= coalesce(register_rules.first_from, entries.first_date)
        and (register_rules.first_before is null or entries.first_date < register_rules.first_before)
        and entries.latest_date >= coalesce(register_rules.latest_from, entries.latest_date)
        and (
            register_rules.first_age_months is null
            or entries.first_date >= cast(
                people.birth_date + register_rules.first_age_months * interval '1 month' as date
            )
        )
),

reading_events as (
    select
        events.person_id,
        events.practice_code,
        events.concept_id,
        events.event_date,
        events.value,
        coalesce(lower(trim(events.unit)), '') as recorded_unit
    from events
    where
        events.concept_id in (
            select codelists.concept_id
            from codelists
            inner join register_needs on codelists.codelist = register_needs.codelist
            where register_needs.kind = 'reading'
        )
        and events.value is not null
        and events.entered_date < $as_of_date
        and events.event_date < $as_of_date
),

-- Readings near the diagnosis, or near the registration of somebody who came in the last year.
readings as (
    select
        candidates.person_id,
        candidates.register,
        candidates.rule_number
    from candidates
    inner join register_needs
        on
            candidates.register = register_needs.register
            and candidates.rule_number = register_needs.rule_number
            and register_needs.kind = 'reading'
    inner join codelists on register_needs.codelist = codelists.codelist
    inner join reading_events
        on
            candidates.person_id = reading_events.person_id
            and candidates.practice_code = reading_events.practice_code
            and codelists.concept_id = reading_events.concept_id
    inner join measure_units
        on
            register_needs.codelist = measure_units.measure
            and reading_events.recorded_unit = measure_units.recorded_unit
    where
        reading_events.value >= coalesce(measure_units.value_from, reading_events.value)
        and (measure_units.value_below is null or reading_events.value < measure_units.value_below)
        and reading_events.value * measure_units.multiply + measure_units.add
        between measure_units.plausible_from and measure_units.plausible_to
        and reading_events.value * measure_units.multiply + measure_units.add < register_needs.value_below
        and (
            date_diff('day', candidates.first_date, reading_events.event_date)
            between -register_needs.days_before and register_needs.days_after
            or (
                candidates.registered_date >= cast($as_of_date - interval '12 months' as date)
                and date_diff('day', candidates.registered_date, reading_events.event_date)
                between 0 and register_needs.days_after
            )
        )
    group by candidates.person_id, candidates.register, candidates.rule_number
),

needs_met as (
    select
        present.person_id,
        register_needs.register,
        register_needs.rule_number
    from present
    inner join register_needs
        on
            present.condition = register_needs.codelist
            and register_needs.kind = 'condition'
            and present.latest_date >= register_needs.date_from
    union all
    select
        medicines.person_id,
        medicines.register,
        medicines.rule_number
    from medicines
    union all
    select
        readings.person_id,
        readings.register,
        readings.rule_number
    from readings
),

met as (
    select
        needs_met.person_id,
        needs_met.register,
        needs_met.rule_number,
        count(*) as needs
    from needs_met
    group by needs_met.person_id, needs_met.register, needs_met.rule_number
),

chosen as (
    select
        candidates.person_id,
        candidates.register,
        candidates.rule,
        candidates.first_date,
        candidates.latest_date,
        row_number() over (
            partition by candidates.person_id, candidates.register
            order by
                case when candidates.latest_decides then candidates.latest_date end desc nulls last,
                candidates.rule_number asc
        ) as preference
    from candidates
    left join met
        on
            candidates.person_id = met.person_id
            and candidates.register = met.register
            and candidates.rule_number = met.rule_number
    where candidates.needs = coalesce(met.needs, 0)
)

select
    chosen.person_id,
    chosen.register,
    chosen.rule,
    chosen.first_date,
    chosen.latest_date
from chosen
where chosen.preference = 1
order by chosen.person_id, chosen.register
