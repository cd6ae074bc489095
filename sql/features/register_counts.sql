-- makes: register_counts, how many people each register loses from the first entry to the register
-- reads: people, conditions, measurements, register_rules, registers
-- parameters: none
-- grain: one row per practice and register
with entries as (
    select
        conditions.person_id,
        register_rules.register,
        max(cast(conditions.is_unresolved as integer)) as is_unresolved
    from conditions
    inner join register_rules on conditions.condition = register_rules.condition
    group by conditions.person_id, register_rules.register
    union all
    select
        measurements.person_id,
        register_rules.register,
        1 as is_unresolved
    from measurements
    inner join register_rules on measurements.measure = register_rules.measure
),

register_names as (
    select register_rules.register
    from register_rules
    group by register_rules.register
),

practice_sizes as (
    select
        people.practice_code,
        count(*) as registered
    from people
    group by people.practice_code
),

recorded as (
    select
        people.practice_code,
        entries.register,
        count(*) as recorded,
        sum(entries.is_unresolved) as unresolved
    from entries
    inner join people on entries.person_id = people.person_id
    group by people.practice_code, entries.register
),

on_register as (
    select
        people.practice_code,
        registers.register,
        count(*) as on_register
    from registers
    inner join people on registers.person_id = people.person_id
    group by people.practice_code, registers.register
)

select
    practice_sizes.practice_code,
    register_names.register,
    practice_sizes.registered,
    coalesce(recorded.recorded, 0) as recorded,
    cast(coalesce(recorded.unresolved, 0) as bigint) as unresolved,
    coalesce(on_register.on_register, 0) as on_register
from practice_sizes
cross join register_names
left join recorded
    on
        practice_sizes.practice_code = recorded.practice_code
        and register_names.register = recorded.register
left join on_register
    on
        practice_sizes.practice_code = on_register.practice_code
        and register_names.register = on_register.register
order by practice_sizes.practice_code, register_names.register
