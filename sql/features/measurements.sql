-- makes: measurements, the latest plausible value of each measure in its own unit
-- reads: people, events, codelists, measure_units
-- parameters: as_of_date
-- grain: one row per person and measure
with measures as (
    select
        measure_units.measure,
        measure_units.measure_number,
        measure_units.from_age
    from measure_units
    group by measure_units.measure, measure_units.measure_number, measure_units.from_age
),

measure_codes as (
    select
        codelists.concept_id,
        measures.measure_number,
        measures.from_age
    from codelists
    inner join measures on codelists.codelist = measures.measure
),

recorded as (
    select
        people.person_id,
        measure_codes.measure_number,
        coalesce(lower(trim(events.unit)), '') as recorded_unit,
        events.value,
        events.event_date
    from events
    inner join measure_codes on events.concept_id = measure_codes.concept_id
    inner join people
        on
            events.person_id = people.person_id
            and events.practice_code = people.practice_code
    where
        events.value is not null
        and events.entered_date < $as_of_date
        and events.event_date < $as_of_date
        and events.event_date >= people.birth_date
        and (
            measure_codes.from_age = 0
            or (
                year(events.event_date) * 10000 + month(events.event_date) * 100 + day(events.event_date)
                - year(people.birth_date) * 10000 - month(people.birth_date) * 100 - day(people.birth_date)
            ) >= measure_codes.from_age * 10000
        )
),

readings as (
    select
        recorded.person_id,
        recorded.measure_number,
        recorded.value * measure_units.multiply + measure_units.add as value,
        recorded.event_date as measured_date,
        recorded.event_date >= measure_units.spread_from as is_spread
    from recorded
    inner join measure_units
        on
            recorded.measure_number = measure_units.measure_number
            and recorded.recorded_unit = measure_units.recorded_unit
    where
        (measure_units.value_from is null or recorded.value >= measure_units.value_from)
        and (measure_units.value_below is null or recorded.value < measure_units.value_below)
        and recorded.value * measure_units.multiply + measure_units.add
        between measure_units.plausible_from and measure_units.plausible_to
),

-- Two values on one day: the lower.
daily as (
    select
        readings.person_id,
        readings.measure_number,
        readings.measured_date,
        min(readings.value) as value
    from readings
    group by readings.person_id, readings.measure_number, readings.measured_date
),

-- Standard deviations: sums of decimals are exact, so the order in which they are added changes nothing.
squares as (
    select
        readings.person_id,
        readings.measure_number,
        cast(readings.value as decimal(15, 6)) as value,
        cast(readings.value as decimal(15, 6)) * cast(readings.value as decimal(15, 6)) as square
    from readings
    where readings.is_spread
),

spreads as (
    select
        squares.person_id,
        squares.measure_number,
        sqrt(
            cast(count(*) * sum(squares.square) - sum(squares.value) * sum(squares.value) as double)
            / (count(*) * (count(*) - 1))
        ) as spread
    from squares
    group by squares.person_id, squares.measure_number
    having count(*) > 1
),

ordered as (
    select
        daily.person_id,
        daily.measure_number,
        daily.value,
        daily.measured_date,
        lead(daily.value) over (
            partition by daily.person_id, daily.measure_number
            order by daily.measured_date desc
        ) as previous_value,
        row_number() over (
            partition by daily.person_id, daily.measure_number
            order by daily.measured_date desc
        ) as preference
    from daily
)

select
    ordered.person_id,
    measures.measure,
    ordered.value,
    ordered.measured_date,
    ordered.previous_value,
    spreads.spread
from ordered
inner join measures on ordered.measure_number = measures.measure_number
left join spreads
    on
        ordered.person_id = spreads.person_id
        and ordered.measure_number = spreads.measure_number
where ordered.preference = 1
order by ordered.person_id, ordered.measure_number
