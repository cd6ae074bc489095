-- makes: deaths, who is known to have died
-- reads: registrations, spells, discharge_methods
-- parameters: as_of_date
-- grain: one row per person
with known_deaths as (
    select
        registrations.person_id,
        registrations.death_date
    from registrations
    where registrations.death_date < $as_of_date
    union all
    select
        spells.person_id,
        spells.discharged_date as death_date
    from spells
    inner join discharge_methods on spells.discharge_method = discharge_methods.discharge_method
    where
        discharge_methods.is_death
        and spells.discharged_date < $as_of_date
        and spells.entered_date < $as_of_date
)

select
    known_deaths.person_id,
    min(known_deaths.death_date) as death_date
from known_deaths
group by known_deaths.person_id
order by known_deaths.person_id
