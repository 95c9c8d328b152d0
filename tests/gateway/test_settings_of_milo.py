from __future__ import annotations

import pytest

from gateway.settings import Settings, SettingsError
from sandbox.milo.agents.model_config import ModelConfig

GIVEN = {
    "VENUEGATE_MILO_MODEL_URL": "https://models.example.com/v1",
    "VENUEGATE_MILO_MODEL_NAME": "some-model",
    "VENUEGATE_MILO_MODEL_KEY": "CANARY",
    "VENUEGATE_MILO_MODEL_TIMEOUT_S": "7",
}


def test_without_any_of_its_variables_there_is_no_model() -> None:
    assert Settings.load({}).milo_model is None


def test_a_model_is_an_address_a_name_and_perhaps_a_key() -> None:
    expected = ModelConfig(base_url="https://models.example.com/v1", model="some-model", api_key="CANARY", timeout_s=7)
    loaded = Settings.load(GIVEN)
    assert (loaded.milo_model, loaded.warnings) == (expected, ())
    assert "CANARY" not in repr(loaded)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MILO_MODEL_URL", "", "VENUEGATE_MILO_MODEL_URL: expected it too"),
        ("MILO_MODEL_NAME", "", "VENUEGATE_MILO_MODEL_NAME: expected it too"),
        ("MILO_MODEL_URL", "models.CANARY.com", "VENUEGATE_MILO_MODEL_URL: expected an address such as"),
        ("MILO_MODEL_URL", "file:///etc/CANARY", "VENUEGATE_MILO_MODEL_URL: expected an address such as"),
        ("MILO_MODEL_TIMEOUT_S", "0", "VENUEGATE_MILO_MODEL_TIMEOUT_S: expected a whole number from 1 to 600"),
    ],
)
def test_half_a_model_is_refused_without_repeating_it(variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(GIVEN | {f"VENUEGATE_{variable}": value})
    assert told in str(caught.value)
    assert "CANARY" not in str(caught.value)
