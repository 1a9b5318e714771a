"""RLP, with the annotations of dataclasses as its schema.

    @dataclass(frozen=True)
    class Transfer:
        nonce: U64
        to: Bytes20
        amount: int                            # up to 256 bits
        memo: str
        hashes: Lazy[Bytes32] = Lazy()         # a long list that stays encoded until an item is asked for
        block: U64 | Bytes32                   # a number, or bytes of a length that no such number has
        expiry: U64 | None = None              # may be absent at the end of the list

    codec(Transfer).encode(transfer)           # bytes
    codec(Transfer).decode(data)               # Transfer, or DecodingError

Decoding is strict (each value has one encoding) and bounded (65,536 objects a message; ``rlp_max_items: ClassVar[int]`` of a class
allows more). A ``Lazy[T]`` holds at most 65,536 items, which ``Annotated[Lazy[T], MaxItems(n)]`` raises or lowers. Elements that no
field takes are ignored, as EIP-8 asks, up to 64 in a list, unless the class sets ``rlp_strict: ClassVar[bool] = True``;
``rlp_nested: ClassVar[bool] = True`` puts all fields after the first into a list of their own (eth's ``[request-id, [a, b]]``).
A class whose ``__post_init__`` raises ValueError refuses bytes by that as well.
"""

from devp2p.rlp.items import (
    Encodable,
    Item,
    decode,
    encode,
    encode_bytes,
    encode_list,
    first_uint,
    item_end,
    list_bounds,
    list_size,
    read_uint,
    split_item,
    split_uint,
    string_bounds,
)
from devp2p.rlp.lazy import Lazy
from devp2p.rlp.markers import (
    U8,
    U16,
    U32,
    U64,
    U128,
    U256,
    Bits,
    Bytes4,
    Bytes8,
    Bytes20,
    Bytes32,
    Bytes64,
    Bytes65,
    Bytes256,
    Length,
    MaxItems,
    MaxLength,
    Raw,
    Rest,
)
from devp2p.rlp.schema import Codec, codec
from devp2p.rlp.splitting import split_items, split_list

__all__ = [
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "U256",
    "Bits",
    "Bytes4",
    "Bytes8",
    "Bytes20",
    "Bytes32",
    "Bytes64",
    "Bytes65",
    "Bytes256",
    "Codec",
    "Encodable",
    "Item",
    "Lazy",
    "Length",
    "MaxItems",
    "MaxLength",
    "Raw",
    "Rest",
    "codec",
    "decode",
    "encode",
    "encode_bytes",
    "encode_list",
    "first_uint",
    "item_end",
    "list_bounds",
    "list_size",
    "read_uint",
    "split_item",
    "split_items",
    "split_list",
    "split_uint",
    "string_bounds",
]
