-- makes: lifestyle_flags, lifestyle risks of people aged 16 or over
-- reads: people, conditions, measurements, lifestyle_rules
-- parameters: none
-- grain: one row per person
with rules as (
    select
        max(case when lifestyle_rules.measure = 'age_years' then lifestyle_rules.value_from end) as age_from,
        max(case when lifestyle_rules.measure = 'systolic_bp' then lifestyle_rules.value_from end) as systolic_from,
        max(case when lifestyle_rules.measure = 'diastolic_bp' then lifestyle_rules.value_from end) as diastolic_from,
        max(case when lifestyle_rules.measure = 'hba1c' then lifestyle_rules.value_from end) as hba1c_from,
        max(case when lifestyle_rules.measure = 'hba1c' then lifestyle_rules.value_below end) as hba1c_below,
        max(case when lifestyle_rules.measure = 'audit_c' then lifestyle_rules.value_from end) as audit_c_from,
        max(
            case
                when lifestyle_rules.measure = 'bmi' and lifestyle_rules.ethnic_group is null
                    then lifestyle_rules.value_from
            end
        ) as bmi_from
    from lifestyle_rules
),

adults as (
    select
        people.person_id,
        people.ethnic_group
    from people
    cross join rules
    where people.age_years >= rules.age_from
),

-- Two statuses on one day: the one that asks for most care.
smoking_statuses as (
    select
        conditions.person_id,
        conditions.condition,
        conditions.latest_date,
        row_number() over (
            partition by conditions.person_id
            order by
                conditions.latest_date desc,
                case conditions.condition when 'smoking_current' then 1 when 'smoking_ex' then 2 else 3 end asc
        ) as preference
    from conditions
    where conditions.condition in ('smoking_current', 'smoking_ex', 'smoking_never')
),

latest_values as (
    select
        measurements.person_id,
        max(case when measurements.measure = 'bmi' then measurements.value end) as bmi,
        max(case when measurements.measure = 'bmi' then measurements.measured_date end) as bmi_date,
        max(case when measurements.measure = 'systolic_bp' then measurements.value end) as systolic_bp,
        max(case when measurements.measure = 'systolic_bp' then measurements.measured_date end) as systolic_date,
        max(case when measurements.measure = 'diastolic_bp' then measurements.value end) as diastolic_bp,
        max(case when measurements.measure = 'diastolic_bp' then measurements.measured_date end) as diastolic_date,
        max(case when measurements.measure = 'hba1c' then measurements.value end) as hba1c,
        max(case when measurements.measure = 'hba1c' then measurements.measured_date end) as hba1c_date,
        max(case when measurements.measure = 'audit_c' then measurements.value end) as audit_c,
        max(case when measurements.measure = 'audit_c' then measurements.measured_date end) as audit_c_date
    from measurements
    group by measurements.person_id
),

-- A pressure counts on the day of the latest reading only, so that the two halves belong together.
readings as (
    select
        latest_values.person_id,
        case
            when latest_values.diastolic_date > latest_values.systolic_date then null
            else latest_values.systolic_bp
        end as systolic_bp,
        case
            when latest_values.systolic_date > latest_values.diastolic_date then null
            else latest_values.diastolic_bp
        end as diastolic_bp,
        greatest(latest_values.systolic_date, latest_values.diastolic_date) as blood_pressure_date
    from latest_values
),

group_rules as (
    select
        lifestyle_rules.ethnic_group,
        lifestyle_rules.value_from as bmi_from
    from lifestyle_rules
    where
        lifestyle_rules.measure = 'bmi'
        and lifestyle_rules.ethnic_group is not null
),

-- Diabetes counts unless resolved on or after its latest diagnosis.
people_with_diabetes as (
    select conditions.person_id
    from conditions
    left join conditions as resolutions
        on
            conditions.person_id = resolutions.person_id
            and resolutions.condition = 'diabetes_resolved'
            and conditions.latest_date <= resolutions.latest_date
    where
        conditions.condition = 'diabetes'
        and resolutions.person_id is null
),

flags as (
    select
        adults.person_id,
        smoking_statuses.condition = 'smoking_current' as is_current_smoker,
        latest_values.bmi >= coalesce(group_rules.bmi_from, rules.bmi_from) as is_obese,
        readings.systolic_bp >= rules.systolic_from
        or readings.diastolic_bp >= rules.diastolic_from as has_raised_blood_pressure,
        latest_values.hba1c >= rules.hba1c_from
        and latest_values.hba1c < rules.hba1c_below
        and people_with_diabetes.person_id is null as has_non_diabetic_hyperglycaemia,
        latest_values.audit_c >= rules.audit_c_from as has_increasing_risk_drinking,
        latest_values.bmi,
        latest_values.bmi_date,
        readings.systolic_bp,
        readings.diastolic_bp,
        readings.blood_pressure_date,
        latest_values.hba1c,
        latest_values.hba1c_date,
        latest_values.audit_c,
        latest_values.audit_c_date,
        smoking_statuses.latest_date as smoking_date
    from adults
    cross join rules
    left join group_rules on adults.ethnic_group = group_rules.ethnic_group
    left join latest_values on adults.person_id = latest_values.person_id
    left join readings on adults.person_id = readings.person_id
    left join people_with_diabetes on adults.person_id = people_with_diabetes.person_id
    left join smoking_statuses
        on
            adults.person_id = smoking_statuses.person_id
            and smoking_statuses.preference = 1
)

select
    flags.person_id,
    flags.is_current_smoker,
    flags.is_obese,
    flags.has_raised_blood_pressure,
    flags.has_non_diabetic_hyperglycaemia,
    flags.has_increasing_risk_drinking,
    flags.bmi,
    flags.bmi_date,
    flags.systolic_bp,
    flags.diastolic_bp,
    flags.blood_pressure_date,
    flags.hba1c,
    flags.hba1c_date,
    flags.audit_c,
    flags.audit_c_date,
    flags.smoking_date,
    cast(
        coalesce(cast(flags.is_current_smoker as integer), 0)
        + coalesce(cast(flags.is_obese as integer), 0)
        + coalesce(cast(flags.has_raised_blood_pressure as integer), 0)
        + coalesce(cast(flags.has_non_diabetic_hyperglycaemia as integer), 0)
        + coalesce(cast(flags.has_increasing_risk_drinking as integer), 0) as tinyint
    ) as flag_count
from flags
order by flags.person_id
