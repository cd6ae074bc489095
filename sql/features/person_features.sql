-- makes: person_features, the features of features.yaml, long and sparse
-- reads: people, conditions, measurements, avoidable_admissions, spells, emergency_attendances, contacts, medications, hospital_scores, features, ethnic_categories, admission_methods, codelists
-- parameters: as_of_date
-- grain: one row per person and feature that has a value
with feature_names as (
    select
        features.feature_number,
        min(features.feature) as feature
    from features
    group by features.feature_number
),

person_values as (
    select
        people.person_id,
        features.feature_number,
        case features.kind when 'age' then people.age_years else people.imd_decile end as value
    from people
    cross join features
    where
        features.kind = 'age'
        or (features.kind = 'imd_decile' and people.imd_decile is not null)
),

person_groups as (
    select
        people.person_id,
        features.feature_number
    from people
    inner join features on people.sex = features.key and features.kind = 'sex'
    union all
    select
        people.person_id,
        features.feature_number
    from people
    inner join ethnic_categories on people.ethnic_group = ethnic_categories.ethnic_group
    inner join features on ethnic_categories.census_group = features.key and features.kind = 'census_group'
),

condition_values as (
    select
        conditions.person_id,
        features.feature_number,
        count(*) as value
    from conditions
    inner join features on conditions.condition = features.key and features.kind in ('condition', 'condition_count')
    where conditions.is_unresolved
    group by conditions.person_id, features.feature_number
),

measurement_values as (
    select
        measurements.person_id,
        features.feature_number,
        case features.kind
            when 'measurement' then measurements.value
            when 'measurement_days' then date_diff('day', measurements.measured_date, $as_of_date)
            when 'measurement_change' then measurements.value - measurements.previous_value
            else greatest(measurements.value, measurements.previous_value)
        end as value
    from measurements
    inner join features
        on
            measurements.measure = features.key
            and features.kind in ('measurement', 'measurement_days', 'measurement_change', 'best_of_last_two')
    where features.kind <> 'measurement_change' or measurements.previous_value is not null
),

known_spells as (
    select
        spells.person_id,
        spells.admitted_date,
        spells.discharged_date,
        case
            when admission_methods.is_new_emergency then 'emergency_admissions'
            when admission_methods.method_group = 'elective' then 'planned_admissions'
        end as kind
    from spells
    inner join people on spells.person_id = people.person_id
    inner join admission_methods on spells.admission_method = admission_methods.admission_method
    where
        spells.admitted_date < $as_of_date
        and spells.entered_date < $as_of_date
),

spell_values as (
    select
        known_spells.person_id,
        features.feature_number,
        count(*) as value
    from known_spells
    inner join features
        on
            known_spells.kind = features.kind
            and known_spells.admitted_date >= features.window_start
    group by known_spells.person_id, features.feature_number
),

bed_day_values as (
    select
        known_spells.person_id,
        features.feature_number,
        sum(date_diff('day', known_spells.admitted_date, known_spells.discharged_date)) as value
    from known_spells
    inner join features
        on
            features.kind = 'emergency_bed_days'
            and known_spells.admitted_date >= features.window_start
    where
        known_spells.kind = 'emergency_admissions'
        and known_spells.discharged_date >= known_spells.admitted_date
        and known_spells.discharged_date < $as_of_date
    group by known_spells.person_id, features.feature_number
),

avoidable_values as (
    select
        avoidable_admissions.person_id,
        features.feature_number,
        count(*) as value
    from avoidable_admissions
    inner join people on avoidable_admissions.person_id = people.person_id
    inner join features
        on
            features.kind = 'avoidable_admissions'
            and avoidable_admissions.admitted_date >= features.window_start
    group by avoidable_admissions.person_id, features.feature_number
),

frailty_values as (
    select
        hospital_scores.person_id,
        features.feature_number,
        hospital_scores.hfrs as value
    from hospital_scores
    inner join features on features.kind = 'hospital_frailty'
    where hospital_scores.hfrs is not null
),

known_attendances as (
    select
        emergency_attendances.person_id,
        emergency_attendances.arrived_date
    from emergency_attendances
    inner join people on emergency_attendances.person_id = people.person_id
    where
        emergency_attendances.arrived_date < $as_of_date
        and emergency_attendances.entered_date < $as_of_date
),

attendance_values as (
    select
        known_attendances.person_id,
        features.feature_number,
        count(*) as value
    from known_attendances
    inner join features
        on
            features.kind = 'ed_attendances'
            and known_attendances.arrived_date >= features.window_start
    group by known_attendances.person_id, features.feature_number
),

known_contacts as (
    select
        contacts.person_id,
        contacts.contact_kind,
        contacts.contact_date
    from contacts
    inner join people
        on
            contacts.person_id = people.person_id
            and contacts.practice_code = people.practice_code
    where contacts.contact_date < $as_of_date
),

contact_values as (
    select
        known_contacts.person_id,
        features.feature_number,
        count(*) as value
    from known_contacts
    inner join features
        on
            known_contacts.contact_kind = features.key
            and features.kind = 'contacts'
            and known_contacts.contact_date >= features.window_start
    group by known_contacts.person_id, features.feature_number
),

-- The latest of each kind; one before the lookback is as unknown as none.
latest_dates as (
    select
        known_spells.person_id,
        known_spells.kind,
        max(known_spells.admitted_date) as latest_date
    from known_spells
    group by known_spells.person_id, known_spells.kind
    union all
    select
        known_attendances.person_id,
        'ed_attendances' as kind,
        max(known_attendances.arrived_date) as latest_date
    from known_attendances
    group by known_attendances.person_id
    union all
    select
        known_contacts.person_id,
        known_contacts.contact_kind as kind,
        max(known_contacts.contact_date) as latest_date
    from known_contacts
    group by known_contacts.person_id, known_contacts.contact_kind
),

recency_values as (
    select
        latest_dates.person_id,
        features.feature_number,
        date_diff('day', latest_dates.latest_date, $as_of_date) as value
    from latest_dates
    inner join features
        on
            latest_dates.kind = features.key
            and features.kind = 'days_since'
            and latest_dates.latest_date >= features.window_start
),

known_issues as (
    select
        medications.person_id,
        medications.product_id,
        medications.issued_date
    from medications
    inner join people
        on
            medications.person_id = people.person_id
            and medications.practice_code = people.practice_code
    where
        medications.issued_date < $as_of_date
        and medications.entered_date < $as_of_date
        and medications.issued_date >= (
            select min(features.window_start)
            from features
            where features.kind in ('medicine_products', 'medicine_issues')
        )
),

product_values as (
    select
        known_issues.person_id,
        features.feature_number,
        count(distinct known_issues.product_id) as value
    from known_issues
    inner join features
        on
            features.kind = 'medicine_products'
            and known_issues.issued_date >= features.window_start
    group by known_issues.person_id, features.feature_number
),

issue_values as (
    select
        known_issues.person_id,
        features.feature_number,
        count(*) as value
    from known_issues
    inner join codelists on known_issues.product_id = codelists.concept_id
    inner join features
        on
            codelists.codelist = features.key
            and features.kind = 'medicine_issues'
            and known_issues.issued_date >= features.window_start
    group by known_issues.person_id, features.feature_number
),

together as (
    select
        person_values.person_id,
        person_values.feature_number,
        person_values.value
    from person_values
    union all
    select
        person_groups.person_id,
        person_groups.feature_number,
        1 as value
    from person_groups
    union all
    select
        condition_values.person_id,
        condition_values.feature_number,
        condition_values.value
    from condition_values
    union all
    select
        measurement_values.person_id,
        measurement_values.feature_number,
        measurement_values.value
    from measurement_values
    union all
    select
        spell_values.person_id,
        spell_values.feature_number,
        spell_values.value
    from spell_values
    union all
    select
        bed_day_values.person_id,
        bed_day_values.feature_number,
        bed_day_values.value
    from bed_day_values
    union all
    select
        avoidable_values.person_id,
        avoidable_values.feature_number,
        avoidable_values.value
    from avoidable_values
    union all
    select
        frailty_values.person_id,
        frailty_values.feature_number,
        frailty_values.value
    from frailty_values
    union all
    select
        attendance_values.person_id,
        attendance_values.feature_number,
        attendance_values.value
    from attendance_values
    union all
    select
        contact_values.person_id,
        contact_values.feature_number,
        contact_values.value
    from contact_values
    union all
    select
        recency_values.person_id,
        recency_values.feature_number,
        recency_values.value
    from recency_values
    union all
    select
        product_values.person_id,
        product_values.feature_number,
        product_values.value
    from product_values
    union all
    select
        issue_values.person_id,
        issue_values.feature_number,
        issue_values.value
    from issue_values
)

select
    together.person_id,
    feature_names.feature,
    cast(together.value as double) as value
from together
inner join feature_names on together.feature_number = feature_names.feature_number
order by together.person_id, together.feature_number
