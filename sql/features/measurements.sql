-- makes: measurements, the latest plausible value of each measure in its own unit
-- reads: people, events, codelists, measure_units
-- parameters: as_of_date
-- grain: one row per person and measure
with measure_codes as (
    select
        codelists.concept_id,
        measure_units.measure,
        measure_units.recorded_unit,
        measure_units.value_from,
        measure_units.value_below,
        measure_units.multiply,
        measure_units.add,
        measure_units.plausible_from,
        measure_units.plausible_to
    from codelists
    inner join measure_units on codelists.codelist = measure_units.measure
),

readings as (
    select
        people.person_id,
        measure_codes.measure,
        events.value * measure_codes.multiply + measure_codes.add as value,
        events.event_date as measured_date,
        events.entered_date,
        measure_codes.plausible_from,
        measure_codes.plausible_to
    from events
    inner join measure_codes
        on
            events.concept_id = measure_codes.concept_id
            and lower(trim(coalesce(events.unit, ''))) = measure_codes.recorded_unit
    inner join people
        on
            events.person_id = people.person_id
            and events.practice_code = people.practice_code
    where
        events.value is not null
        and events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= people.birth_date
        and (measure_codes.value_from is null or events.value >= measure_codes.value_from)
        and (measure_codes.value_below is null or events.value < measure_codes.value_below)
),

-- Two values on one day: the one entered last, then the lower.
daily as (
    select
        readings.person_id,
        readings.measure,
        readings.value,
        readings.measured_date,
        row_number() over (
            partition by readings.person_id, readings.measure, readings.measured_date
            order by readings.entered_date desc, readings.value asc
        ) as preference
    from readings
    where readings.value between readings.plausible_from and readings.plausible_to
),

ordered as (
    select
        daily.person_id,
        daily.measure,
        daily.value,
        daily.measured_date,
        lead(daily.value) over (
            partition by daily.person_id, daily.measure
            order by daily.measured_date desc
        ) as previous_value,
        row_number() over (
            partition by daily.person_id, daily.measure
            order by daily.measured_date desc
        ) as preference
    from daily
    where daily.preference = 1
)

select
    ordered.person_id,
    ordered.measure,
    ordered.value,
    ordered.measured_date,
    ordered.previous_value
from ordered
where ordered.preference = 1
order by ordered.person_id, ordered.measure
