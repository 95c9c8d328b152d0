from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from gateway.app import opened
from gateway.keyring import MasterKeyFile, create_master_key_file
from gateway.settings import Settings, SettingsError
from sandbox.milo.demo import open_demo_user


@pytest.mark.slow
async def test_the_demo_serves_milo_at_the_gateways_own_port(tmp_path: Path) -> None:
    key_file = tmp_path / "master.key"
    create_master_key_file(key_file)
    loaded = Settings.load({}, port=0, metrics_port=0, data_dir=tmp_path / "var", demo=True, master_key_file=key_file)
    assert isinstance(loaded.master_key, MasterKeyFile)
    async with opened(loaded) as gateway, gateway.running() as sites, aiohttp.ClientSession() as http:
        assert gateway.local_venues.milo is not None
        user = await gateway.local_venues.milo.run(open_demo_user)
        headers = {"X-API-Key": user.api_key}
        for base in (f"http://127.0.0.1:{sites.port}", gateway.local_venues.urls["milo"]):
            async with http.get(f"{base}/api/v1/me", headers=headers) as response:
                assert (await response.json())["user"]["id"] == user.user_id
            async with http.get(f"{base}/api/v1/nothing", headers=headers) as response:
                assert response.status == 404
                assert (await response.json())["error"]["code"] == "not_found"
        async with http.get(f"http://127.0.0.1:{sites.port}/healthz") as response:
            assert response.status == 200


def test_a_public_chain_cannot_be_set() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load({"VENUEGATE_MILO_RPC_URL": "https://api.mainnet-beta.solana.com"}, demo=True)
    assert "VENUEGATE_MILO_RPC_URL" in str(refused.value)
    assert "mainnet-beta" not in str(refused.value)
