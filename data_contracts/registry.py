"""Asset name to contract: the only such list."""

from data_contracts.tables import deliveries, history, weekly
from data_contracts.tables.history import Contract

HISTORY: dict[str, type[Contract]] = {
    "registrations": history.Registrations,
    "events": history.Events,
    "medications": history.Medications,
    "contacts": history.Contacts,
    "spells": history.Spells,
    "emergency_attendances": history.EmergencyAttendances,
}

REFERENCE: dict[str, type[Contract]] = {
    "practices": history.Practices,
    "lsoas": history.Lsoas,
    "paused_practices": history.PausedPractices,
    "list_sizes": history.ListSizes,
}

DELIVERIES: dict[str, type[Contract]] = {
    "ledger": deliveries.Ledger,
    "quarantine_counts": deliveries.QuarantineCounts,
    "feed_states": deliveries.FeedStates,
}

WEEKLY: dict[str, type[Contract]] = {
    "closed_practices": weekly.ClosedPractices,
    "dissents": weekly.Dissents,
    "eligibility": weekly.Eligibility,
    "people": weekly.People,
    "conditions": weekly.Conditions,
    "measurements": weekly.Measurements,
    "registers": weekly.Registers,
    "register_counts": weekly.RegisterCounts,
    "score_inputs": weekly.ScoreInputs,
    "person_features": weekly.PersonFeatures,
    "avoidable_admissions": weekly.AvoidableAdmissions,
    "emergency_admissions": weekly.EmergencyAdmissions,
    "deaths": weekly.Deaths,
    "cambridge_scores": weekly.CambridgeScores,
    "hospital_scores": weekly.HospitalScores,
    "prevention_scores": weekly.PreventionScores,
    "lifestyle_flags": weekly.LifestyleFlags,
    "risk_scores": weekly.RiskScores,
    "model_drift": weekly.ModelDrift,
    "complex_care_ranking": weekly.ComplexCareRanking,
    "complex_care": weekly.ComplexCare,
    "risk_reasons": weekly.RiskReasons,
    "programme_records": weekly.ProgrammeRecords,
    "programme_states": weekly.ProgrammeStates,
    "cohort_moves": weekly.CohortMoves,
    "non_responders": weekly.NonResponders,
    "people_not_seen": weekly.PeopleNotSeen,
    "lifestyle_risk": weekly.LifestyleRisk,
    "data_quality": weekly.DataQuality,
    "care_owed": weekly.CareOwed,
    "target_lists": weekly.TargetLists,
    "list_leavers": weekly.ListLeavers,
    "list_capacity": weekly.ListCapacity,
}

RELEASE: dict[str, type[Contract]] = {
    "opt_out_ledger": weekly.OptOutLedger,
    "told_counts": weekly.ToldCounts,
}
"""Tables that the release of a week writes beside its weekly tables."""

CONTRACTS: dict[str, type[Contract]] = HISTORY | REFERENCE | DELIVERIES | WEEKLY | RELEASE
"""Every table, by name. History lies in history/<name>/<icb>.parquet, weekly tables in tables/<date>/<name>/,
what is the same for all ICBs in history/<name>.parquet."""
