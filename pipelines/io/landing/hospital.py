"""Hospital activity as it lands: HES, ECDS and Unified SUS. Each record is held as told; one row a stay follows."""

from dataclasses import dataclass
from functools import partial

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.identity import renamed_people
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.hospital_codes import stage_codes
from pipelines.io.landing.hospital_known import MEMORIES, Known
from pipelines.io.landing.hospital_records import ADMISSIONS, ATTENDANCES, KINDS, Kind, Records, stage
from pipelines.io.landing.hospital_round import Round
from pipelines.io.landing.hospital_rows import Convert, type_attendances, type_episodes, type_stays
from pipelines.io.landing.loading import load_delivery
from pipelines.io.landing.protocol import Bench, Delivery, Landing, Loaded, Stage
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, quarantine_path
from pipelines.steps.stays import Precedence

STAYS = "SUS_UNIFIED_APC.spell"
VISITS = "SUS_UNIFIED_ECDS.emergency_care"
LOGS = {"SUS_UNIFIED_APC.InsertDeleteLog": STAYS, "SUS_UNIFIED_ECDS.InsertDeleteLog": VISITS}
TABLES: dict[str, tuple[Convert, type[pa.DataFrameModel], Kind]] = {
    "HES_APC": (type_episodes, contracts.StagedAdmissions, ADMISSIONS),
    STAYS: (type_stays, contracts.StagedAdmissions, ADMISSIONS),
    "HES_AE": (type_attendances, contracts.StagedAttendances, ATTENDANCES),
    "ECDS": (type_attendances, contracts.StagedAttendances, ATTENDANCES),
    VISITS: (type_attendances, contracts.StagedAttendances, ATTENDANCES),
}


def load_hospital(delivery: Delivery, bench: Bench) -> Loaded:
    """The hospital files of one moment (none to try held rows again), staged as records by kind and ICB.

    Raises:
        LandingError: a file is empty, unreadable, lacks a required column, or would replace a year by less.
    """
    round_ = Round(delivery=delivery, bench=bench, known=Known(delivery.shared))
    round_.take_person_keys()
    for log, table in LOGS.items():
        round_.take_deletions(log, table)
    for table, (convert, contract, kind) in TABLES.items():
        homes = []
        for number, good in enumerate(round_.take_records(table, convert, contract)):
            stage(good, kind, bench.work, f"{table}_{number}")
            homes.append(good.select("record_id", "icb_code"))
        if table == STAYS:
            stage_codes(round_, pl.concat(homes), table)
    return Loaded(
        outcomes=pl.concat(round_.outcomes),
        files=tuple(round_.counts),
        pending=round_.pending,
        shared=round_.known.frames,
    )


@dataclass(frozen=True)
class HospitalFeed:
    """Records that follow people: deliveries by moment, one quarantine, and records held to be told apart."""

    name: str = "hospital"
    stage: Stage = "people"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new delivery in order; held rows are tried again if people may have arrived."""
        store = landing.store
        path = quarantine_path(store.settings, self.name, self.name)
        pending = store.read(path, QUARANTINE)
        deliveries = landing.deliveries(self.name)
        if landing.has_new_people and not deliveries and pending.filter(is_retried()).height:
            deliveries = [(self.name, "", [])]
        if not (deliveries or landing.has_new_people):
            return
        records = Records(store, Precedence.model_validate(load_feed(self.name).words["precedence"]))
        if landing.has_new_people:
            work = store.work(self.name, "renamed")
            landing.changes += records.rename(landing.superseded, landing.roster, work)
            records.follow(landing.roster)
        known = Known(
            {name: store.read(store.state_path(f"hospital_{name}"), MEMORIES[name].columns) for name in KEPT}
        )
        known.frames["person_keys"] = renamed_people(known["person_keys"], landing.superseded)
        for source, moment, files in deliveries:
            landing.tell(f"{self.name} {moment}")
            shared = {**known.frames, "held": records.index()}
            delivery = Delivery(self.name, source, moment, tuple(files), pending=pending, shared=shared)
            work = store.work(self.name, moment or "retried")
            load = partial(load_delivery, load=load_hospital)
            try:
                loaded = landing.run(load, delivery, work=work, has_roster=True)
            except LandingError as error:
                landing.register.refuse(files, source=f"{self.name} {moment}", reason=str(error))
                break
            landing.register.account(loaded.files, loaded.outcomes, practice_code=None)
            told = Known(loaded.shared)
            for kind in KINDS:
                landing.changes += records.apply(kind, work, told, landing.roster)
            known = Known({name: told[name] for name in KEPT})
            pending = loaded.pending
        for name in KEPT:
            store.write(known[name], store.state_path(f"hospital_{name}"))
        store.write(pending, path)


KEPT = tuple(name for name, memory in MEMORIES.items() if memory.is_kept)
FEED = HospitalFeed()
