from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetAccountStateRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class AccountState(_message.Message):
    __slots__ = ("account_id", "equity", "balance", "margin_used", "positions", "peak_equity", "daily_start_equity", "weekly_start_equity", "sequence", "timestamp")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_USED_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    PEAK_EQUITY_FIELD_NUMBER: _ClassVar[int]
    DAILY_START_EQUITY_FIELD_NUMBER: _ClassVar[int]
    WEEKLY_START_EQUITY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    equity: str
    balance: str
    margin_used: str
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    peak_equity: str
    daily_start_equity: str
    weekly_start_equity: str
    sequence: int
    timestamp: int
    def __init__(self, account_id: _Optional[str] = ..., equity: _Optional[str] = ..., balance: _Optional[str] = ..., margin_used: _Optional[str] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., peak_equity: _Optional[str] = ..., daily_start_equity: _Optional[str] = ..., weekly_start_equity: _Optional[str] = ..., sequence: _Optional[int] = ..., timestamp: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("symbol", "quantity", "entry_price", "mark_price", "margin", "exchange")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_PRICE_FIELD_NUMBER: _ClassVar[int]
    MARK_PRICE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    quantity: str
    entry_price: str
    mark_price: str
    margin: str
    exchange: str
    def __init__(self, symbol: _Optional[str] = ..., quantity: _Optional[str] = ..., entry_price: _Optional[str] = ..., mark_price: _Optional[str] = ..., margin: _Optional[str] = ..., exchange: _Optional[str] = ...) -> None: ...
