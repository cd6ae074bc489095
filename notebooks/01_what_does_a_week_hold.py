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
# ## Who did not respond

# %%
print(
    catalogue.sql("""
        select non_responders.programme, non_responders.state, non_responders.grade, count(*) as people
        from non_responders
        group by all
        order by all
    """)
)
catalogue.close()
