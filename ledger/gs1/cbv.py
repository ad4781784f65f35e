"""The words of GS1's Core Business Vocabulary 2.0 in their three spellings.

    shipping                                    bare word, EPCIS 2.0 JSON
    https://ref.gs1.org/cbv/BizStep-shipping    web vocabulary, JSON-LD (cbv:BizStep-shipping)
    urn:epcglobal:cbv:bizstep:shipping          EPCIS 1.x and XML

The canonical spelling is the bare word. A word of somebody's own vocabulary, which must be
a URI, stays as it is. So does a word that CBV does not have, even below CBV's prefixes:
whether that is a fault is for the rules of `ledger.epcis` to say.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass

_WEB = "https://ref.gs1.org/cbv/"
_WEB_BEFORE = "https://ns.gs1.org/cbv/"  # where drafts of EPCIS 2.0 had the vocabulary
_CURIE = "cbv:"
_URN = "urn:epcglobal:cbv:"
_GS1_VOCABULARY = (
    "gs1:",
    "https://gs1.org/voc/",
    "https://www.gs1.org/voc/",
    "http://gs1.org/voc/",
    "http://www.gs1.org/voc/",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """One list of CBV words with the prefixes of its spellings."""

    name: str  # the field that it is for
    web: str  # such as "BizStep"
    urn: str  # such as "bizstep"
    words: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _vocabulary(name: str, web: str, urn: str, words: str) -> Vocabulary:
    return Vocabulary(name=name, web=web, urn=urn, words=_words(words))


BIZ_STEP = _vocabulary(
    "bizStep",
    "BizStep",
    "bizstep",
    """
    accepting arriving assembling collecting commissioning consigning creating_class_instance
    cycle_counting decommissioning departing destroying disassembling dispensing encoding
    entering_exiting holding inspecting installing killing loading other packing picking
    receiving removing repackaging repairing replacing reserving retail_selling sampling
    sensor_reporting shipping staging_outbound stock_taking stocking storing transporting
    unloading unpacking void_shipping
    """,
)
DISPOSITION = _vocabulary(
    "disposition",
    "Disp",
    "disp",
    """
    active available completeness_inferred completeness_verified conformant container_closed
    container_open damaged destroyed dispensed disposed encoded expired in_progress in_transit
    inactive mismatch_class mismatch_instance mismatch_quantity needs_replacement
    no_pedigree_match non_conformant non_sellable_other partially_dispensed recalled reserved
    retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown
    """,
)
BIZ_TRANSACTION_TYPE = _vocabulary(
    "bizTransaction type",
    "BTT",
    "btt",
    "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt",
)
SOURCE_DEST_TYPE = _vocabulary(
    "source or destination type", "SDT", "sdt", "location owning_party possessing_party"
)
ERROR_REASON = _vocabulary("error reason", "ER", "er", "did_not_occur incorrect_data")
COMPONENT = _vocabulary(
    "component",
    "Comp",
    "comp",
    """
    x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle easting
    northing latitude longitude altitude
    """,
)
MEASUREMENTS = _words(
    """
    AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance
    AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity
    Area Capacitance Conductance Conductivity Count Density Dimensionless DoseEquivalent
    DoseEquivalentRate DynamicViscosity ElectricCharge ElectricCurrent ElectricCurrentDensity
    ElectricFieldStrength Energy Exposure Force Frequency Illuminance Inductance Irradiance
    KinematicViscosity Length LinearMomentum Luminance LuminousFlux LuminousIntensity
    MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration
    MassFlowRate MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass
    MolarVolume Power Pressure RadiantFlux RadiantIntensity Radioactivity RelativeHumidity
    Resistance Resistivity SolidAngle SpecificVolume Speed SurfaceDensity SurfaceTension
    Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction VolumetricFlux
    Wavenumber
    """
)
ALERTS = frozenset(("ALARM_CONDITION", "ERROR_CONDITION"))


def _spellings(vocabulary: Vocabulary) -> dict[str, str]:
    """Return every full spelling of every word, each with its bare word."""
    web = tuple(f"{start}{vocabulary.web}-" for start in (_WEB, _WEB_BEFORE, _CURIE))
    prefixes = (*web, f"{_URN}{vocabulary.urn}:")
    return {prefix + word: word for word in vocabulary.words for prefix in prefixes}


_BIZ_STEPS = _spellings(BIZ_STEP)
_DISPOSITIONS = _spellings(DISPOSITION)
_BIZ_TRANSACTION_TYPES = _spellings(BIZ_TRANSACTION_TYPE)
_SOURCE_DEST_TYPES = _spellings(SOURCE_DEST_TYPE)
_ERROR_REASONS = _spellings(ERROR_REASON)
_COMPONENTS = _spellings(COMPONENT)
_GS1_WORDS = {
    prefix + word: word for word in MEASUREMENTS | ALERTS for prefix in _GS1_VOCABULARY
}


def canonical_biz_step(text: str) -> str:
    """Return the bare word of a business step, or `text` where it is none of CBV's."""
    return _BIZ_STEPS.get(text, text)


def canonical_disposition(text: str) -> str:
    """Return the bare word of a disposition, or `text` where it is none of CBV's."""
    return _DISPOSITIONS.get(text, text)


def canonical_biz_transaction_type(text: str) -> str:
    """Return the bare word of a business transaction type, or `text` where CBV has none."""
    return _BIZ_TRANSACTION_TYPES.get(text, text)


def canonical_source_dest_type(text: str) -> str:
    """Return the bare word of a source or destination type, or `text` where CBV has none."""
    return _SOURCE_DEST_TYPES.get(text, text)


def canonical_error_reason(text: str) -> str:
    """Return the bare word of an error reason, or `text` where it is none of CBV's."""
    return _ERROR_REASONS.get(text, text)


def canonical_component(text: str) -> str:
    """Return the bare word of a sensor component, or `text` where it is none of CBV's."""
    return _COMPONENTS.get(text, text)


def canonical_measurement(text: str) -> str:
    """Return the bare word of a measurement or alert type of GS1's web vocabulary."""
    return _GS1_WORDS.get(text, text)


def is_known(vocabulary: Vocabulary, text: str) -> bool:
    """Say whether `text` is a word of `vocabulary` in its bare spelling."""
    return text in vocabulary.words


def format_web(vocabulary: Vocabulary, word: str) -> str:
    """Return the web spelling of a bare CBV word; what is not CBV's stays as it is."""
    return f"{_WEB}{vocabulary.web}-{word}" if word in vocabulary.words else word


def format_urn(vocabulary: Vocabulary, word: str) -> str:
    """Return the URN spelling of a bare CBV word; what is not CBV's stays as it is."""
    return f"{_URN}{vocabulary.urn}:{word}" if word in vocabulary.words else word
