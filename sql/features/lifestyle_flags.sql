-- makes: lifestyle_flags, lifestyle risks from 16 without palliative care, what is treated and when each was known
-- reads: people, conditions, measurements, score_inputs, prevention_scores?, lifestyle_rules
-- parameters: as_of_date
-- grain: one row per person
with rules as (
    select
        lifestyle_rules.flag,
        max(case when lifestyle_rules.measure = 'age_years' then lifestyle_rules.value_from end) as asked_from,
        max(case when lifestyle_rules.measure = 'bmi' then lifestyle_rules.value_from end) as bmi_from,
        max(
            case
                when lifestyle_rules.measure = 'systolic_bp' and lifestyle_rules.age_from is null
                    then lifestyle_rules.value_from
            end
        ) as systolic_from,
        max(
            case
                when lifestyle_rules.measure = 'systolic_bp' and lifestyle_rules.age_from is not null
                    then lifestyle_rules.value_from
            end
        ) as older_systolic_from,
        max(case when lifestyle_rules.measure = 'systolic_bp' then lifestyle_rules.age_from end) as older_from,
        max(case when lifestyle_rules.measure = 'diastolic_bp' then lifestyle_rules.value_from end) as diastolic_from,
        max(case when lifestyle_rules.measure = 'hba1c' then lifestyle_rules.value_from end) as hba1c_from,
        max(case when lifestyle_rules.measure = 'hba1c' then lifestyle_rules.value_below end) as hba1c_below,
        max(
            case
                when lifestyle_rules.measure in ('audit_c', 'cholesterol_total', 'qrisk3', 'qdiabetes')
                    then lifestyle_rules.value_from
            end
        ) as value_from
    from lifestyle_rules
    where lifestyle_rules.ethnic_group is null
    group by lifestyle_rules.flag
),

-- Nobody is asked to lose weight or to take a statin at the end of life.
not_asked as (
    select conditions.person_id
    from conditions
    inner join lifestyle_rules on conditions.condition = lifestyle_rules.measure
    where
        lifestyle_rules.flag = 'not_asked_of'
        and conditions.is_unresolved
),

adults as (
    select
        people.person_id,
        people.age_years,
        people.ethnic_group
    from people
    inner join rules
        on
            rules.flag = 'asked_of'
            and people.age_years >= rules.asked_from
    where people.person_id not in (select not_asked.person_id from not_asked)
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
        max(case when measurements.measure = 'audit_c' then measurements.measured_date end) as audit_c_date,
        max(case when measurements.measure = 'cholesterol_total' then measurements.value end) as cholesterol_total,
        max(
            case when measurements.measure = 'cholesterol_total' then measurements.measured_date end
        ) as cholesterol_date,
        max(case when measurements.measure = 'cholesterol_hdl' then measurements.value end) as cholesterol_hdl
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
        lifestyle_rules.flag = 'is_obese'
        and lifestyle_rules.ethnic_group is not null
),

-- What counts as a status, as treated or as a diagnosis stands in from_record.csv.
care as (
    select
        score_inputs.person_id,
        max(case when score_inputs.input = 'is_current_smoker' then score_inputs.value end) = 1 as is_current_smoker,
        max(case when score_inputs.input = 'is_current_smoker' then score_inputs.recorded_date end) as smoking_date,
        max(case when score_inputs.input = 'is_inactive' then score_inputs.value end) = 1 as is_inactive,
        max(case when score_inputs.input = 'is_inactive' then score_inputs.recorded_date end) as activity_date,
        max(case when score_inputs.input = 'has_poor_diet' then score_inputs.value end) = 1 as has_poor_diet,
        max(case when score_inputs.input = 'has_poor_diet' then score_inputs.recorded_date end) as diet_date,
        max(case when score_inputs.input = 'statin' then 1 else 0 end) = 1 as is_on_statin,
        max(case when score_inputs.input = 'antihypertensive' then 1 else 0 end) = 1 as is_on_blood_pressure_medicine,
        max(case when score_inputs.input = 'hypertension' then 1 else 0 end) = 1 as has_hypertension,
        max(case when score_inputs.input = 'diabetes' then 1 else 0 end) = 1 as has_diabetes,
        max(
            case when score_inputs.input = 'cardiovascular_disease' then 1 else 0 end
        ) = 1 as has_cardiovascular_disease
    from score_inputs
    where score_inputs.score = 'lifestyle'
    group by score_inputs.person_id
),

known as (
    select
        adults.person_id,
        adults.age_years,
        group_rules.bmi_from,
        care.is_current_smoker,
        care.smoking_date,
        care.is_inactive,
        care.activity_date,
        care.has_poor_diet,
        care.diet_date,
        latest_values.bmi,
        latest_values.bmi_date,
        readings.systolic_bp,
        readings.diastolic_bp,
        readings.blood_pressure_date,
        latest_values.hba1c,
        latest_values.hba1c_date,
        latest_values.audit_c,
        latest_values.audit_c_date,
        latest_values.cholesterol_total,
        latest_values.cholesterol_hdl,
        latest_values.cholesterol_date,
        prevention_scores.qrisk3,
        prevention_scores.qrisk3_band,
        prevention_scores.qdiabetes,
        prevention_scores.health_check_eligible,
        prevention_scores.health_check_due_date,
        coalesce(care.is_on_statin, false) as is_on_statin,
        coalesce(care.is_on_blood_pressure_medicine, false) as is_on_blood_pressure_medicine,
        coalesce(care.has_hypertension, false) as has_hypertension,
        coalesce(care.has_diabetes, false) as has_diabetes,
        coalesce(care.has_cardiovascular_disease, false) as has_cardiovascular_disease
    from adults
    left join group_rules on adults.ethnic_group = group_rules.ethnic_group
    left join latest_values on adults.person_id = latest_values.person_id
    left join readings on adults.person_id = readings.person_id
    left join care on adults.person_id = care.person_id
    left join prevention_scores on adults.person_id = prevention_scores.person_id
),

flags as (
    select
        known.person_id,
        known.bmi >= coalesce(known.bmi_from, obesity.bmi_from) as is_obese,
        known.systolic_bp >= raised.systolic_from
        or known.diastolic_bp >= raised.diastolic_from as has_raised_blood_pressure,
        known.hba1c >= sugar.hba1c_from
        and known.hba1c < sugar.hba1c_below
        and not known.has_diabetes as has_non_diabetic_hyperglycaemia,
        known.audit_c >= alcohol.value_from as has_increasing_risk_drinking,
        known.cholesterol_total >= cholesterol.value_from as has_raised_cholesterol,
        (known.has_cardiovascular_disease or known.qrisk3 >= heart.value_from)
        and not known.is_on_statin as has_untreated_cardiovascular_risk,
        known.has_hypertension
        and (
            known.systolic_bp >= case
                when known.age_years >= target.older_from then target.older_systolic_from
                else target.systolic_from
            end
            or known.diastolic_bp >= target.diastolic_from
        ) as has_blood_pressure_above_target,
        known.qdiabetes >= sugar_risk.value_from as has_high_diabetes_risk,
        known.health_check_eligible
        and known.health_check_due_date <= $as_of_date as is_health_check_due
    from known
    inner join rules as obesity on obesity.flag = 'is_obese'
    inner join rules as raised on raised.flag = 'has_raised_blood_pressure'
    inner join rules as sugar on sugar.flag = 'has_non_diabetic_hyperglycaemia'
    inner join rules as alcohol on alcohol.flag = 'has_increasing_risk_drinking'
    inner join rules as cholesterol on cholesterol.flag = 'has_raised_cholesterol'
    inner join rules as heart on heart.flag = 'has_untreated_cardiovascular_risk'
    inner join rules as target on target.flag = 'has_blood_pressure_above_target'
    inner join rules as sugar_risk on sugar_risk.flag = 'has_high_diabetes_risk'
)

select
    flags.person_id,
    known.is_current_smoker,
    flags.is_obese,
    flags.has_raised_blood_pressure,
    flags.has_non_diabetic_hyperglycaemia,
    flags.has_increasing_risk_drinking,
    known.is_inactive,
    known.has_poor_diet,
    flags.has_raised_cholesterol,
    flags.has_untreated_cardiovascular_risk,
    flags.has_blood_pressure_above_target,
    flags.has_high_diabetes_risk,
    flags.is_health_check_due,
    known.is_on_statin,
    known.is_on_blood_pressure_medicine,
    known.has_hypertension,
    known.has_cardiovascular_disease,
    known.bmi,
    known.bmi_date,
    known.systolic_bp,
    known.diastolic_bp,
    known.blood_pressure_date,
    known.hba1c,
    known.hba1c_date,
    known.audit_c,
    known.audit_c_date,
    known.cholesterol_total,
    known.cholesterol_hdl,
    known.cholesterol_date,
    known.smoking_date,
    known.activity_date,
    known.diet_date,
    known.qrisk3,
    known.qrisk3_band,
    known.qdiabetes,
    known.health_check_due_date,
    case when known.qrisk3 is not null then cast($as_of_date as date) end as qrisk3_date,
    cast(
        coalesce(cast(flags.has_untreated_cardiovascular_risk as integer), 0)
        + coalesce(cast(flags.has_blood_pressure_above_target as integer), 0) as tinyint
    ) as treatment_gaps,
    cast(
        coalesce(cast(known.is_current_smoker as integer), 0)
        + coalesce(cast(flags.is_obese as integer), 0)
        + coalesce(cast(flags.has_raised_blood_pressure as integer), 0)
        + coalesce(cast(flags.has_non_diabetic_hyperglycaemia as integer), 0)
        + coalesce(cast(flags.has_increasing_risk_drinking as integer), 0)
        + coalesce(cast(known.is_inactive as integer), 0)
        + coalesce(cast(known.has_poor_diet as integer), 0)
        + coalesce(cast(flags.has_raised_cholesterol as integer), 0)
        + coalesce(cast(flags.has_untreated_cardiovascular_risk as integer), 0) as tinyint
    ) as flag_count
from flags
inner join known on flags.person_id = known.person_id
order by flags.person_id
