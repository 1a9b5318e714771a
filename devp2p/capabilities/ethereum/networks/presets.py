"""The public networks: when their rules changed. Their ids and first blocks are those of `devp2p.PRESETS`, which says where to find nodes.

Facts that their operators publish, as go-ethereum 1.17.8 has them (params/chainspecs). Holesky was closed in 2025 and is none of the
presets any more; it is here for those who read its chain.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from devp2p import PRESETS
from devp2p.capabilities.ethereum.networks.network import Network


def _preset(name: str, timestamp: int, *, blocks: tuple[int, ...] = (), times: tuple[int, ...]) -> Network:
    preset = PRESETS[name]
    return Network(
        network_id=preset.network_id,
        chain_id=preset.network_id,
        genesis=bytes.fromhex(preset.genesis),
        timestamp=timestamp,
        blocks=blocks,
        times=times,
    )


NETWORKS: Final[Mapping[str, Network]] = MappingProxyType(
    {
        "mainnet": _preset(
            "mainnet",
            timestamp=0,  # that of the header; the chain began on 2015-07-30
            blocks=(
                1_150_000,  # Homestead
                1_920_000,  # DAO
                2_463_000,  # EIP-150
                2_675_000,  # EIP-155, EIP-158
                4_370_000,  # Byzantium
                7_280_000,  # Constantinople, Petersburg
                9_069_000,  # Istanbul
                9_200_000,  # Muir Glacier
                12_244_000,  # Berlin
                12_965_000,  # London
                13_773_000,  # Arrow Glacier
                15_050_000,  # Gray Glacier
            ),
            times=(
                1_681_338_455,  # Shanghai
                1_710_338_135,  # Cancun
                1_746_612_311,  # Prague
                1_764_798_551,  # Osaka
                1_765_290_071,  # BPO1
                1_767_747_671,  # BPO2
            ),
        ),
        "sepolia": _preset(
            "sepolia",
            timestamp=1_633_267_481,
            blocks=(1_735_371,),  # the merge
            times=(
                1_677_557_088,  # Shanghai
                1_706_655_072,  # Cancun
                1_741_159_776,  # Prague
                1_760_427_360,  # Osaka
                1_761_017_184,  # BPO1
                1_761_607_008,  # BPO2
                1_791_294_816,  # Amsterdam
            ),
        ),
        "hoodi": _preset(
            "hoodi",
            timestamp=1_742_212_800,
            times=(
                1_742_999_832,  # Prague
                1_761_677_592,  # Osaka
                1_762_365_720,  # BPO1
                1_762_955_544,  # BPO2
            ),
        ),
        "holesky": Network(
            network_id=17_000,
            chain_id=17_000,
            genesis=bytes.fromhex("b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4"),
            timestamp=1_695_902_400,
            blocks=(),
            times=(
                1_696_000_704,  # Shanghai
                1_707_305_664,  # Cancun
                1_740_434_112,  # Prague
                1_759_308_480,  # Osaka
                1_759_800_000,  # BPO1
                1_760_389_824,  # BPO2
            ),
        ),
    }
)
"""Public networks by name."""
