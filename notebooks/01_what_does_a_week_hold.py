# %% [markdown]
# # What does a week hold?
# Reads the analysts' catalogue of the latest run: how many people, in which cohorts, with which conditions.
# Counts only; no row of a person is shown.

# %%
import duckdb

from pipelines.settings import Settings

catalogue = duckdb.connect(str(Settings().catalogue), read_only=True)

# %% [markdown]
# ## People and cohorts by practice

# %%
print(
    catalogue.sql("""
        select
            people.practice_code,
            count(*) as registered,
            count(complex_care.person_id) as complex_care,
            round(avg(people.age_years), 1) as mean_age_years
        from people
        left join complex_care on people.person_id = complex_care.person_id
        group by people.practice_code
        order by people.practice_code
    """)
)

# %% [markdown]
# ## The ten commonest conditions

# %%
print(
    catalogue.sql("""
        select conditions.condition, count(*) as people
        from conditions
        group by conditions.condition
        order by people desc, conditions.condition
        limit 10
    """)
)

# %% [markdown]
# ## Where people stand with screening, immunisation and recall

# %%
print(
    catalogue.sql("""
        select programme_states.programme, programme_states.state, programme_states.grade, count(*) as people
        from programme_states
        group by all
        order by all
    """)
)
catalogue.close()
