-- makes: complex_care, the people offered a place in the complex-care cohort, ranked over all ICBs of the run
-- reads: people, cambridge_scores, risk_scores?, previous_complex_care?
-- parameters: places_in_england, registered_in_england, stay_band
-- grain: one row per person offered a place; scope england
with registered as (
    select
        people.person_id,
        people.practice_code,
        people.age_years,
        -- Someone still registered in two ICBs counts once, where the registration is the later.
        row_number() over (
            partition by people.person_id
            order by people.registered_date desc, people.practice_code asc
        ) as preference
    from people
),

-- Places are the run's share of England's, by registered people.
places as (
    select
        cast(
            round($places_in_england * cast(count(*) as double) / $registered_in_england, 0) as bigint
        ) as places
    from registered
    where registered.preference = 1
),

chosen_score as (
    select
        case
            when count(risk_scores.raw_score) > 0 then 'risk_avoidable_admission_12m'
            else 'cambridge_score'
        end as ranked_by
    from risk_scores
),

cambridge as (
    select
        cambridge_scores.person_id,
        max(cambridge_scores.cambridge_score) as cambridge_score
    from cambridge_scores
    group by cambridge_scores.person_id
),

learned as (
    select
        risk_scores.person_id,
        max(risk_scores.raw_score) as raw_score
    from risk_scores
    group by risk_scores.person_id
),

scored as (
    select
        registered.person_id,
        registered.practice_code,
        registered.age_years,
        chosen_score.ranked_by,
        case chosen_score.ranked_by
            when 'cambridge_score' then cambridge.cambridge_score
            else learned.raw_score
        end as score,
        cambridge.cambridge_score
    from registered
    cross join chosen_score
    inner join cambridge on registered.person_id = cambridge.person_id
    left join learned on registered.person_id = learned.person_id
    where registered.preference = 1
),

ranked as (
    select
        scored.person_id,
        scored.practice_code,
        row_number() over (
            order by scored.score desc, scored.cambridge_score desc, scored.age_years desc, scored.person_id asc
        ) as rank,
        scored.ranked_by,
        scored.score,
        scored.cambridge_score,
        scored.age_years
    from scored
    where scored.score is not null
),

members_before as (
    select previous_complex_care.person_id
    from previous_complex_care
    group by previous_complex_care.person_id
),

-- Who had a place last week keeps it until pushed out by someone clearly higher: the rank of members is divided by the
-- stay band, so that a member's place goes to those who rank above the member's rank divided by the band.
seated as (
    select
        ranked.person_id,
        ranked.practice_code,
        ranked.rank,
        ranked.ranked_by,
        ranked.score,
        ranked.cambridge_score,
        ranked.age_years,
        members_before.person_id is not null as was_member,
        row_number() over (
            order by
                case when members_before.person_id is null then ranked.rank else ranked.rank / $stay_band end asc,
                case when members_before.person_id is null then 2 else 1 end asc,
                ranked.rank asc
        ) as seat
    from ranked
    left join members_before on ranked.person_id = members_before.person_id
)

select
    seated.person_id,
    seated.practice_code,
    seated.rank,
    seated.ranked_by,
    seated.score,
    seated.cambridge_score,
    seated.age_years,
    seated.was_member,
    seated.rank > places.places as is_held_over
from seated
cross join places
where seated.seat <= places.places
order by seated.practice_code, seated.person_id
