-- makes: complex_care, the people offered a place in the complex-care cohort, ranked over all ICBs of the run
-- reads: complex_care_ranking, previous_complex_care?
-- parameters: places_in_england, registered_in_england, share_of_adults, deprived_floor, stay_band
-- grain: one row per person offered a place; scope england
with options as (
    select
        $deprived_floor as floor_share,
        $stay_band as stay_band
),

areas as (
    select
        complex_care_ranking.area,
        sum(
            case
                when $share_of_adults = 0 then $places_in_england / cast($registered_in_england as double)
                when complex_care_ranking.age_years >= 18 then $share_of_adults
                else 0
            end
        ) as places
    from complex_care_ranking
    group by complex_care_ranking.area
),

-- Places are the run's share of England's, by registered people, or a share of its adults; each area has its part of
-- them, and all parts together are all of them.
summed as (
    select
        areas.area,
        areas.places,
        sum(areas.places) over (order by areas.area asc) as so_far
    from areas
),

places as (
    select
        summed.area,
        cast(round(summed.so_far, 0) as bigint) - cast(round(summed.so_far - summed.places, 0) as bigint) as places
    from summed
),

chosen_score as (
    select
        case
            when count(complex_care_ranking.raw_score) > 0 then 'risk_avoidable_admission_12m'
            else 'cambridge_score'
        end as ranked_by,
        max(complex_care_ranking.cut_error) as cut_error
    from complex_care_ranking
),

scored as (
    select
        complex_care_ranking.person_id,
        complex_care_ranking.practice_code,
        complex_care_ranking.age_years,
        complex_care_ranking.area,
        complex_care_ranking.is_deprived,
        case chosen_score.ranked_by
            when 'cambridge_score' then complex_care_ranking.cambridge_score
            else complex_care_ranking.raw_score
        end as score,
        complex_care_ranking.cambridge_score
    from complex_care_ranking
    cross join chosen_score
    where complex_care_ranking.cambridge_score is not null
),

-- Nobody below the last place times the stay band can have a seat, so only those near enough are put in order: all
-- whose score, to a two-hundredth, is not below that of the last who can, in any area. With a floor for deprived areas
-- everybody is.
spread as (
    select
        scored.area,
        floor(scored.score * 200) as step,
        count(*) as people
    from scored
    where scored.score is not null
    group by scored.area, step
),

steps as (
    select
        spread.area,
        spread.step,
        sum(spread.people) over (partition by spread.area order by spread.step desc) - spread.people as above
    from spread
),

reach as (
    select
        case
            when max(options.floor_share) > 0 then cast('-infinity' as double)
            else min(steps.step)
        end as lowest_step
    from steps
    cross join options
    inner join places on steps.area = places.area
    where options.floor_share > 0 or steps.above < places.places * options.stay_band
),

ranked as (
    select
        scored.person_id,
        scored.practice_code,
        row_number() over (
            order by scored.score desc, scored.cambridge_score desc, scored.age_years desc, scored.person_id asc
        ) as rank,
        scored.score,
        scored.cambridge_score,
        scored.age_years,
        scored.area,
        scored.is_deprived,
        row_number() over (
            partition by scored.area
            order by scored.score desc, scored.cambridge_score desc, scored.age_years desc, scored.person_id asc
        ) as area_rank
    from scored
    cross join reach
    where floor(scored.score * 200) >= reach.lowest_step
),

-- The score of the last place of each area, were places given by rank alone.
cuts as (
    select
        ranked.area,
        min(ranked.score) as cut
    from ranked
    inner join places on ranked.area = places.area
    where ranked.area_rank <= places.places
    group by ranked.area
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
        chosen_score.ranked_by,
        ranked.score,
        -- The logistic curve that stays within 0.01 of the normal one.
        case chosen_score.ranked_by
            when 'risk_avoidable_admission_12m'
                then 1 / (1 + exp(-1.702 * (ranked.score - cuts.cut) / nullif(chosen_score.cut_error, 0)))
        end as belongs_probability,
        ranked.cambridge_score,
        ranked.age_years,
        ranked.area,
        ranked.area_rank,
        ranked.is_deprived,
        members_before.person_id is not null as was_member,
        row_number() over (
            partition by ranked.area
            order by
                case
                    when members_before.person_id is null then ranked.area_rank
                    else ranked.area_rank / options.stay_band
                end asc,
                case when members_before.person_id is null then 2 else 1 end asc,
                ranked.area_rank asc
        ) as seat
    from ranked
    cross join chosen_score
    cross join options
    left join cuts on ranked.area = cuts.area
    left join members_before on ranked.person_id = members_before.person_id
),

deprived_seats as (
    select
        seated.person_id,
        row_number() over (partition by seated.area order by seated.seat asc) as deprived_seat
    from seated
    where seated.is_deprived
),

-- Of the places of an area, so many at least go to people of the two most deprived tenths, if there are so many.
floored as (
    select
        seated.person_id,
        seated.practice_code,
        seated.rank,
        seated.ranked_by,
        seated.score,
        seated.belongs_probability,
        seated.cambridge_score,
        seated.age_years,
        seated.was_member,
        seated.area_rank,
        places.places,
        row_number() over (
            partition by seated.area
            order by
                case
                    when
                        seated.is_deprived
                        and deprived_seats.deprived_seat <= floor(places.places * options.floor_share)
                        then 1
                    else 2
                end asc,
                seated.seat asc
        ) as place
    from seated
    inner join places on seated.area = places.area
    left join deprived_seats on seated.person_id = deprived_seats.person_id
    cross join options
)

select
    floored.person_id,
    floored.practice_code,
    floored.rank,
    floored.ranked_by,
    floored.score,
    floored.cambridge_score,
    floored.age_years,
    floored.belongs_probability,
    floored.was_member,
    floored.was_member and floored.area_rank > floored.places as is_held_over
from floored
where floored.place <= floored.places
order by floored.practice_code, floored.person_id
