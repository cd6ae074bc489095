-- makes: emergency_admissions, emergency spells whatever their cause
-- reads: spells, admission_methods
-- parameters: as_of_date
-- grain: one row per person and emergency spell
select
    spells.person_id,
    spells.admitted_date
from spells
inner join admission_methods on spells.admission_method = admission_methods.admission_method
where
    admission_methods.is_new_emergency
    and spells.admitted_date < $as_of_date
    and spells.entered_date < $as_of_date
order by spells.person_id, spells.admitted_date
