-- makes: avoidable_admissions, emergency spells for one of 19 ambulatory-care-sensitive conditions
-- reads: spells, admission_methods, acsc_conditions
-- parameters: as_of_date
-- grain: one row per person and emergency spell
with emergency_spells as (
    select
        spells.person_id,
        spells.admitted_date,
        spells.diagnosis_codes,
        '|' || coalesce(spells.procedure_codes, '') as procedure_codes,
        row_number() over (
            order by
                spells.person_id,
                spells.admitted_date,
                spells.entered_date,
                spells.record_id,
                spells.practice_code,
                spells.diagnosis_codes
        ) as spell_number
    from spells
    inner join admission_methods on spells.admission_method = admission_methods.admission_method
    where
        admission_methods.is_new_emergency
        and spells.diagnosis_codes is not null
        and spells.admitted_date < $as_of_date
        and spells.entered_date < $as_of_date
),

-- Every code of a spell, once for each length of prefix that rules have; the first code is the primary.
coded as (
    select
        emergency_spells.spell_number,
        unnest(string_split(emergency_spells.diagnosis_codes, '|')) as code,
        generate_subscripts(string_split(emergency_spells.diagnosis_codes, '|'), 1) = 1 as is_primary
    from emergency_spells
),

lengths as (
    select length(acsc_conditions.prefix) as characters
    from acsc_conditions
    group by length(acsc_conditions.prefix)
),

matches as (
    select
        coded.spell_number,
        acsc_conditions.condition,
        acsc_conditions.priority
    from coded
    cross join lengths
    inner join acsc_conditions on left(coded.code, lengths.characters) = acsc_conditions.prefix
    where
        acsc_conditions.rule = 'diagnosis_any'
        or (acsc_conditions.rule = 'diagnosis_primary' and coded.is_primary)
),

-- What a condition excludes, or requires, beside its diagnosis.
conditions_met as (
    select
        matches.spell_number,
        matches.condition,
        min(matches.priority) as priority
    from matches
    group by matches.spell_number, matches.condition
),

side_rules as (
    select
        conditions_met.spell_number,
        conditions_met.condition,
        max(
            case
                when
                    acsc_conditions.rule = 'exclude_procedure_any'
                    and emergency_spells.procedure_codes like '%|' || acsc_conditions.prefix || '%'
                    then 1
                when
                    acsc_conditions.rule = 'exclude_procedure_primary'
                    and emergency_spells.procedure_codes like '|' || acsc_conditions.prefix || '%'
                    then 1
                when
                    acsc_conditions.rule = 'exclude_secondary'
                    and emergency_spells.diagnosis_codes like '%|' || acsc_conditions.prefix || '%'
                    then 1
                else 0
            end
        ) as is_excluded,
        max(case when acsc_conditions.rule = 'require_secondary' then 1 else 0 end) as needs_secondary,
        max(
            case
                when
                    acsc_conditions.rule = 'require_secondary'
                    and emergency_spells.diagnosis_codes like '%|' || acsc_conditions.prefix || '%'
                    then 1
                else 0
            end
        ) as has_secondary
    from conditions_met
    inner join emergency_spells on conditions_met.spell_number = emergency_spells.spell_number
    inner join acsc_conditions on conditions_met.condition = acsc_conditions.condition
    where acsc_conditions.rule not in ('diagnosis_primary', 'diagnosis_any')
    group by conditions_met.spell_number, conditions_met.condition
),

-- A spell that meets several conditions counts once, for the one listed first.
ordered as (
    select
        conditions_met.spell_number,
        conditions_met.condition,
        row_number() over (
            partition by conditions_met.spell_number
            order by conditions_met.priority asc, conditions_met.condition asc
        ) as preference
    from conditions_met
    left join side_rules
        on
            conditions_met.spell_number = side_rules.spell_number
            and conditions_met.condition = side_rules.condition
    where
        coalesce(side_rules.is_excluded, 0) = 0
        and coalesce(side_rules.needs_secondary, 0) = coalesce(side_rules.has_secondary, 0)
)

select
    emergency_spells.person_id,
    emergency_spells.admitted_date,
    ordered.condition
from ordered
inner join emergency_spells on ordered.spell_number = emergency_spells.spell_number
where ordered.preference = 1
order by emergency_spells.person_id, emergency_spells.admitted_date, ordered.condition, ordered.spell_number
