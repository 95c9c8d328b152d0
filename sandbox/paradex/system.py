"""What the venue says of itself. The chain is the testnet's: clients know only the venue's own."""

from __future__ import annotations

from typing import Any, Final

CHAIN_ID: Final = "PRIVATE_SN_POTC_SEPOLIA"
ACCOUNT_HASH: Final = 0x41CB0280EBADAA75F996D8D92C6F265F6D040BB3BA442E5F86A554F1765244E
PROXY_HASH: Final = 0x3530CC4759D78042F1B543BF797F5F3D647CDE0388C33734CF91B7F7B9314A9
_NOWHERE: Final = "http://127.0.0.1:9"

CONFIG: Final[dict[str, Any]] = {
    "environment": "sandbox",
    "starknet_gateway_url": _NOWHERE,
    "starknet_fullnode_rpc_url": _NOWHERE,
    "starknet_fullnode_rpc_base_url": _NOWHERE,
    "starknet_chain_id": CHAIN_ID,
    "block_explorer_url": _NOWHERE,
    "paraclear_address": "0x286003f7c7bfc3f94e8f0af48b48302e7aee2fb13c23b141479ba00832ef2c6",
    "paraclear_decimals": 8,
    "paraclear_account_proxy_hash": hex(PROXY_HASH),
    "paraclear_account_hash": hex(ACCOUNT_HASH),
    "paraclear_evm_account_hash": "0x0",
    "oracle_address": "0x2c6a867917ef858d6b193a0ff9e62b46d0dc760366920d631715d58baeaca1f",
    "bridged_tokens": [
        {
            "name": "TEST USDC",
            "symbol": "USDC",
            "decimals": 6,
            "l1_token_address": "0x29A873159D5e14AcBd63913D4A7E2df04570c666",
            "l1_bridge_address": "0x8586e05adc0C35aa11609023d4Ae6075Cb813b4C",
            "l2_token_address": "0x6f373b346561036d98ea10fb3e60d2f459c872b1933b50b21fe6ef4fda3b75e",
            "l2_bridge_address": "0x46e9237f5408b5f899e72125dd69bd55485a287aaf24663d3ebe00d237fc7ef",
        }
    ],
    "l1_core_contract_address": "0x582CC5d9b509391232cd544cDF9da036e55833Af",
    "l1_operator_address": "0x11bACdFbBcd3Febe5e8CEAa75E0Ef6444d9B45FB",
    "l1_chain_id": "11155111",
    "liquidation_fee": "0.2",
}
