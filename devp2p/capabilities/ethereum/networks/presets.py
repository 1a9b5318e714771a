"""The public networks: when their rules changed. Their ids and first blocks are those of `devp2p.PRESETS`, which says where to find nodes.

Facts that their operators publish, as go-ethereum 1.17.8 has them (params/chainspecs). Holesky was closed in 2025 and is none of the
presets any more; it is here for those who read its chain.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from devp2p import PRESETS
from devp2p.capabilities.ethereum.networks.network import BlobParameters, Network

_TO_LONDON: Final = {
    "homestead": 0,
    "eip150": 0,
    "eip155": 0,
    "eip158": 0,
    "byzantium": 0,
    "constantinople": 0,
    "petersburg": 0,
    "istanbul": 0,
    "muirGlacier": 0,
    "berlin": 0,
    "london": 0,
}
"""Networks that began with the rules of London."""
_BLOBS: Final = {
    "cancun": BlobParameters(3, 6, 3_338_477),
    "prague": BlobParameters(6, 9, 5_007_716),
    "bpo1": BlobParameters(10, 15, 8_346_193),
    "bpo2": BlobParameters(14, 21, 11_684_671),
}


def _preset(name: str, timestamp: int, upgrades: Mapping[str, int]) -> Network:
    preset = PRESETS[name]
    return Network.of(
        network_id=preset.network_id,
        chain_id=preset.network_id,
        genesis=bytes.fromhex(preset.genesis),
        timestamp=timestamp,
        upgrades=upgrades,
        blob_schedule=_BLOBS,
    )


NETWORKS: Final[Mapping[str, Network]] = MappingProxyType(
    {
        "mainnet": _preset(
            "mainnet",
            0,  # as its first header says; that was published on 2015-07-30
            {
                "homestead": 1_150_000,
                "daoFork": 1_920_000,
                "eip150": 2_463_000,
                "eip155": 2_675_000,
                "eip158": 2_675_000,
                "byzantium": 4_370_000,
                "constantinople": 7_280_000,
                "petersburg": 7_280_000,
                "istanbul": 9_069_000,
                "muirGlacier": 9_200_000,
                "berlin": 12_244_000,
                "london": 12_965_000,
                "arrowGlacier": 13_773_000,
                "grayGlacier": 15_050_000,
                "shanghai": 1_681_338_455,
                "cancun": 1_710_338_135,
                "prague": 1_746_612_311,
                "osaka": 1_764_798_551,
                "bpo1": 1_765_290_071,
                "bpo2": 1_767_747_671,
            },
        ),
        "sepolia": _preset(
            "sepolia",
            1_633_267_481,
            {
                **_TO_LONDON,
                "mergeNetsplit": 1_735_371,
                "shanghai": 1_677_557_088,
                "cancun": 1_706_655_072,
                "prague": 1_741_159_776,
                "osaka": 1_760_427_360,
                "bpo1": 1_761_017_184,
                "bpo2": 1_761_607_008,
                "amsterdam": 1_791_294_816,
            },
        ),
        "hoodi": _preset(
            "hoodi",
            1_742_212_800,
            {
                **_TO_LONDON,
                "mergeNetsplit": 0,
                "shanghai": 0,
                "cancun": 0,
                "prague": 1_742_999_832,
                "osaka": 1_761_677_592,
                "bpo1": 1_762_365_720,
                "bpo2": 1_762_955_544,
            },
        ),
        "holesky": Network.of(
            network_id=17_000,
            chain_id=17_000,
            genesis=bytes.fromhex("b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4"),
            timestamp=1_695_902_100,
            upgrades={
                **_TO_LONDON,
                "mergeNetsplit": 0,
                "shanghai": 1_696_000_704,
                "cancun": 1_707_305_664,
                "prague": 1_740_434_112,
                "osaka": 1_759_308_480,
                "bpo1": 1_759_800_000,
                "bpo2": 1_760_389_824,
            },
            blob_schedule=_BLOBS,
        ),
    }
)
"""Public networks by name."""
