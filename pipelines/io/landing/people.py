"""Feeds of records that follow people: their rows lie in the ICB where the person is registered now."""

from dataclasses import dataclass

from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.loading import load_delivery
from pipelines.io.landing.protocol import Delivery, Landing, Load, Stage
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, quarantine_path


@dataclass(frozen=True)
class PeopleFeed:
    """A feed of people, wherever they are registered: deliveries by moment, one quarantine for all of it."""

    name: str
    load: Load
    stage: Stage = "people"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new delivery in order; held rows are tried again if people may have arrived."""
        path = quarantine_path(landing.store.settings, self.name, self.name)
        pending = landing.store.read(path, QUARANTINE)
        deliveries = landing.deliveries(self.name)
        if landing.has_new_people and not deliveries and pending.filter(is_retried()).height:
            deliveries = [(self.name, "", [])]
        for source, moment, files in deliveries:
            landing.tell(f"{self.name} {moment}")
            delivery = Delivery(feed=self.name, source=source, moment=moment, files=tuple(files), pending=pending)
            bench = landing.bench(self.name, moment or "retried", with_roster=True)
            try:
                loaded = load_delivery(self.load, delivery, bench)
            except LandingError as error:
                landing.register.refuse(files, source=f"{self.name} {moment}", reason=str(error))
                break
            landing.register.account(loaded.files, loaded.outcomes, practice_code=None)
            landing.changes += loaded.changes
            pending = loaded.pending
        landing.store.write(pending, path)
