-- makes: closed_practices, which closed practices still have people, and how many are registered nowhere else
-- reads: practices, registrations
-- parameters: as_of_date
-- grain: one row per closed practice with an open regular registration
with closed as (
    select
        practices.practice_code,
        practices.practice_name,
        practices.closed_date
    from practices
    where
        practices.closed_date < $as_of_date
        or (practices.status = 'closed' and practices.closed_date is null)
),

-- Deaths are left to the table of people: here a registration counts if it has not ended.
open_registrations as (
    select
        registrations.person_id,
        registrations.practice_code
    from registrations
    where
        registrations.registration_type = 'regular'
        and registrations.registered_date < $as_of_date
        and (registrations.deregistered_date is null or registrations.deregistered_date >= $as_of_date)
        and (registrations.death_date is null or registrations.death_date >= $as_of_date)
),

elsewhere as (
    select open_registrations.person_id
    from open_registrations
    where open_registrations.practice_code not in (select closed.practice_code from closed)
)

select
    closed.practice_code,
    closed.practice_name,
    closed.closed_date,
    count(distinct open_registrations.person_id) as people,
    count(
        distinct case
            when open_registrations.person_id not in (select elsewhere.person_id from elsewhere)
                then open_registrations.person_id
        end
    ) as people_nowhere_else
from closed
inner join open_registrations on closed.practice_code = open_registrations.practice_code
group by closed.practice_code, closed.practice_name, closed.closed_date
order by closed.practice_code
