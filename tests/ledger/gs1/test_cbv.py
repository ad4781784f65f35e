"""Three spellings, one word."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.gs1 import cbv

VOCABULARIES = (
    (cbv.BIZ_STEP, cbv.canonical_biz_step),
    (cbv.DISPOSITION, cbv.canonical_disposition),
    (cbv.BIZ_TRANSACTION_TYPE, cbv.canonical_biz_transaction_type),
    (cbv.SOURCE_DEST_TYPE, cbv.canonical_source_dest_type),
    (cbv.ERROR_REASON, cbv.canonical_error_reason),
    (cbv.COMPONENT, cbv.canonical_component),
)


@pytest.mark.parametrize(
    ("vocabulary", "canonical"), VOCABULARIES, ids=[one.web for one, _ in VOCABULARIES]
)
def test_every_spelling_leads_to_the_bare_word(
    vocabulary: cbv.Vocabulary, canonical: Callable[[str], str]
) -> None:
    for word in vocabulary.words:
        assert canonical(word) == word
        assert canonical(cbv.format_urn(vocabulary, word)) == word
        assert canonical(cbv.format_web(vocabulary, word)) == word
        assert canonical(f"https://ns.gs1.org/cbv/{vocabulary.web}-{word}") == word
        assert canonical(f"cbv:{vocabulary.web}-{word}") == word


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/bizStep/inspecting",
        "urn:epcglobal:cbv:bizstep:teleporting",
        "urn:epcglobal:cbv:disp:active",
        "Shipping",
        "",
    ],
)
def test_what_is_not_a_word_of_the_vocabulary_stays(text: str) -> None:
    assert cbv.canonical_biz_step(text) == text
    assert cbv.format_urn(cbv.BIZ_STEP, text) == text


def test_measurements_and_alerts_have_gs1_spellings() -> None:
    assert cbv.canonical_measurement("gs1:Temperature") == "Temperature"
    assert cbv.canonical_measurement("https://gs1.org/voc/ALARM_CONDITION") == "ALARM_CONDITION"
    assert cbv.canonical_measurement("example:Sweetness") == "example:Sweetness"


def test_the_words_are_those_of_the_schema(shared_data: Path) -> None:
    path = shared_data / "epcis" / "gs1" / "EPCIS-JSON-Schema.json"
    definitions = json.loads(path.read_text())["definitions"]

    def words(name: str) -> set[str]:
        (listed,) = (one["enum"] for one in definitions[name]["anyOf"] if "enum" in one)
        return set(listed)

    assert words("bizStep") == cbv.BIZ_STEP.words
    assert words("disposition") == cbv.DISPOSITION.words
    assert words("bizTransaction-type") == cbv.BIZ_TRANSACTION_TYPE.words
    assert words("source-dest-type") == cbv.SOURCE_DEST_TYPE.words
    assert words("error-reason") == cbv.ERROR_REASON.words
    assert words("component") == cbv.COMPONENT.words
    assert words("measurementType") == cbv.MEASUREMENTS
    assert words("sensorAlertType") == cbv.ALERTS
