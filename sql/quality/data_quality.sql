-- makes: data_quality, how far each practice's data can be trusted this week
-- reads: practices, list_sizes, feed_states, quarantine_counts, registrations, events, medications, contacts, spells, emergency_attendances, people, conditions, measurements, quality_measures, quality_recordings, previous_data_quality?
-- parameters: as_of_date, icb_code
-- grain: one row per practice, feed and measure
with own_practices as (
    select
        practices.practice_code,
        practices.status
    from practices
    where practices.icb_code = $icb_code
),

-- The feed of a practice is the one that delivered last. A delivery after the week covers all of the week.
feeds as (
    select
        feed_states.practice_code,
        feed_states.feed,
        case
            when feed_states.delivered_date > $as_of_date then $as_of_date
            else feed_states.delivered_date
        end as delivered_date,
        feed_states.records,
        feed_states.is_accepted,
        case when feed_states.waits_from <= $as_of_date then feed_states.waits_from end as waits_from,
        row_number() over (
            partition by feed_states.practice_code
            order by
                case when feed_states.practice_code is null and feed_states.feed <> 'hospital' then 1 else 0 end asc,
                feed_states.delivered_date desc nulls last,
                feed_states.feed asc
        ) as preference
    from feed_states
),

hospital_feeds as (
    select
        quality_measures.measure,
        feeds.delivered_date
    from feeds
    inner join quality_measures on feeds.feed = quality_measures.feed
    where
        feeds.practice_code is null
        and feeds.preference = 1
),

entries as (
    select
        events.practice_code,
        count(*) as counted,
        max(events.entered_date) as latest_date
    from events
    where events.entered_date < $as_of_date
    group by events.practice_code
),

registered as (
    select
        registrations.practice_code,
        count(distinct registrations.person_id) as counted
    from registrations
    where
        registrations.registration_type = 'regular'
        and registrations.registered_date < $as_of_date
        and (registrations.deregistered_date is null or registrations.deregistered_date >= $as_of_date)
        and (registrations.death_date is null or registrations.death_date >= $as_of_date)
    group by registrations.practice_code
),

prescribed as (
    select
        medications.practice_code,
        count(*) as counted
    from medications
    where medications.entered_date < $as_of_date
    group by medications.practice_code
),

contacted as (
    select
        contacts.practice_code,
        count(*) as counted
    from contacts
    where contacts.contact_date < $as_of_date
    group by contacts.practice_code
),

admitted as (
    select
        spells.practice_code,
        count(*) as counted
    from spells
    where spells.entered_date < $as_of_date
    group by spells.practice_code
),

attended as (
    select
        emergency_attendances.practice_code,
        count(*) as counted
    from emergency_attendances
    where emergency_attendances.entered_date < $as_of_date
    group by emergency_attendances.practice_code
),

quarantined as (
    select
        quarantine_counts.practice_code,
        quarantine_counts.feed,
        sum(case when quarantine_counts.held_as = 'fault' then quarantine_counts.records else 0 end) as faults,
        sum(case when quarantine_counts.held_as = 'code_not_known' then quarantine_counts.records else 0 end)
            as not_known,
        sum(case when quarantine_counts.held_as = 'code_not_mapped' then quarantine_counts.records else 0 end)
            as not_mapped
    from quarantine_counts
    group by quarantine_counts.practice_code, quarantine_counts.feed
),

adults as (
    select
        people.practice_code,
        quality_recordings.measure,
        count(distinct people.person_id) as counted
    from people
    inner join quality_recordings on people.age_years >= quality_recordings.age_from
    group by people.practice_code, quality_recordings.measure
),

recordings as (
    select
        conditions.person_id,
        conditions.condition as recorded_as,
        conditions.latest_date as recorded_date
    from conditions
    union all
    select
        measurements.person_id,
        measurements.measure as recorded_as,
        measurements.measured_date as recorded_date
    from measurements
),

recorded as (
    select
        people.practice_code,
        quality_recordings.measure,
        count(distinct people.person_id) as counted
    from recordings
    inner join quality_recordings
        on
            recordings.recorded_as = quality_recordings.recorded_as
            and recordings.recorded_date >= quality_recordings.since
    inner join people
        on
            recordings.person_id = people.person_id
            and quality_recordings.age_from <= people.age_years
    group by people.practice_code, quality_recordings.measure
),

-- Every practice that has, had or should have data: nobody falls off in silence.
expected as (
    select feeds.practice_code from feeds
    union
    select registrations.practice_code from registrations
    union
    select list_sizes.practice_code
    from list_sizes
    inner join own_practices on list_sizes.practice_code = own_practices.practice_code
    where own_practices.status <> 'closed'
),

facts as (
    select
        own_practices.practice_code,
        case when quality_measures.feed = 'hospital' then 'hospital' else coalesce(feeds.feed, 'none') end as feed,
        case
            when quality_measures.feed = 'hospital' then hospital_feeds.delivered_date
            else feeds.delivered_date
        end as delivered_date,
        case
            when quality_measures.feed = 'hospital' then hospital_feeds.delivered_date
            else coalesce(feeds.delivered_date, entries.latest_date)
        end as data_as_of,
        feeds.waits_from,
        entries.latest_date,
        coalesce(feeds.is_accepted, false) as is_accepted,
        list_sizes.registered_people as list_size,
        feeds.records,
        quality_measures.measure,
        case quality_measures.measure
            when 'list_size_difference' then coalesce(registered.counted, 0)
            when 'people_change' then coalesce(registered.counted, 0)
            when 'events_change' then coalesce(entries.counted, 0)
            when 'medications_change' then coalesce(prescribed.counted, 0)
            when 'contacts_change' then coalesce(contacted.counted, 0)
            when 'spells_change' then coalesce(admitted.counted, 0)
            when 'emergency_attendances_change' then coalesce(attended.counted, 0)
            when 'records_quarantined' then coalesce(quarantined.faults, 0)
            when 'codes_not_known' then coalesce(quarantined.not_known, 0)
            when 'codes_not_mapped' then coalesce(quarantined.not_mapped, 0)
            else case when adults.counted is not null then coalesce(recorded.counted, 0) end
        end as counted,
        adults.counted as adults
    from own_practices
    inner join expected on own_practices.practice_code = expected.practice_code
    cross join quality_measures
    left join feeds
        on
            own_practices.practice_code = feeds.practice_code
            and feeds.preference = 1
    left join hospital_feeds on quality_measures.measure = hospital_feeds.measure
    left join list_sizes on own_practices.practice_code = list_sizes.practice_code
    left join registered on own_practices.practice_code = registered.practice_code
    left join entries on own_practices.practice_code = entries.practice_code
    left join prescribed on own_practices.practice_code = prescribed.practice_code
    left join contacted on own_practices.practice_code = contacted.practice_code
    left join admitted on own_practices.practice_code = admitted.practice_code
    left join attended on own_practices.practice_code = attended.practice_code
    left join quarantined
        on
            feeds.practice_code = quarantined.practice_code
            and feeds.feed = quarantined.feed
    left join adults
        on
            own_practices.practice_code = adults.practice_code
            and quality_measures.measure = adults.measure
    left join recorded
        on
            own_practices.practice_code = recorded.practice_code
            and quality_measures.measure = recorded.measure
),

compared as (
    select
        facts.practice_code,
        facts.feed,
        facts.measure,
        facts.counted,
        case
            when facts.measure = 'list_size_difference' then facts.list_size
            when facts.measure in ('records_quarantined', 'codes_not_known', 'codes_not_mapped') then facts.records
            when quality_measures.kind = 'share' then facts.adults
            else previous_data_quality.counted
        end as out_of,
        case facts.measure
            when 'days_since_entry' then date_diff('day', facts.latest_date, $as_of_date)
            when 'days_waiting' then date_diff('day', facts.waits_from, $as_of_date)
            else date_diff('day', facts.delivered_date, $as_of_date)
        end as days,
        facts.data_as_of,
        facts.is_accepted
    from facts
    inner join quality_measures on facts.measure = quality_measures.measure
    left join previous_data_quality
        on
            facts.practice_code = previous_data_quality.practice_code
            and facts.feed = previous_data_quality.feed
            and facts.measure = previous_data_quality.measure
),

valued as (
    select
        compared.practice_code,
        compared.feed,
        compared.measure,
        compared.counted,
        compared.out_of,
        case
            when quality_measures.kind = 'days' then cast(compared.days as double)
            when compared.out_of is null or compared.out_of = 0 then null
            when quality_measures.kind = 'share' then cast(compared.counted as double) / compared.out_of
            else cast(abs(compared.counted - compared.out_of) as double) / compared.out_of
        end as value,
        case quality_measures.kind
            when 'share' then compared.out_of
            when 'difference' then abs(compared.counted - compared.out_of)
            else quality_measures.fewest
        end as number,
        compared.data_as_of,
        compared.is_accepted
    from compared
    inner join quality_measures on compared.measure = quality_measures.measure
)

select
    valued.practice_code,
    valued.feed,
    valued.measure,
    valued.value,
    cast(valued.counted as bigint) as counted,
    cast(valued.out_of as bigint) as out_of,
    case
        when valued.value is null then 'unknown'
        when valued.number < quality_measures.fewest then 'ok'
        when
            quality_measures.worse * (valued.value - quality_measures.stop_at) >= 0
            and not (valued.is_accepted and quality_measures.is_acceptable)
            then 'stop'
        when quality_measures.worse * (valued.value - quality_measures.hold_at) >= 0 then 'hold'
        when quality_measures.worse * (valued.value - quality_measures.warn_at) >= 0 then 'warn'
        else 'ok'
    end as verdict,
    valued.data_as_of
from valued
inner join quality_measures on valued.measure = quality_measures.measure
where
    (valued.feed <> 'hospital' or valued.data_as_of is not null)
    and (valued.measure <> 'days_waiting' or valued.value is not null)
order by valued.practice_code, valued.feed, quality_measures.measure_number
