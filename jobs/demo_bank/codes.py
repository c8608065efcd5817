"""Code lists of the demo bank's systems and what each code means in the group's terms.

Written down here a second time on purpose: the answer key must not read the pipeline's own maps, or a wrong map would
agree with itself.
"""

from __future__ import annotations

from jobs.demo_bank.truth import Product

CHANNELS = {
    "01": "counter",
    "ATM": "self_service",
    "WY": "web",
    "SJ": "mobile",
    "XCX": "mini_program",
    "DH": "phone",
    "KJ": "open_api",
    "YDZY": "assisted",
}
ONLINE = {"WY", "SJ", "XCX", "KJ"}
COUNTER = "01"
LINES = {"CX": "savings", "BX": "insurance", "JJ": "fund", "ZQ": "bond", "XD": "micro_loan", "ZF": "payment"}
ENTITIES = {"B": "bank", "S": "securities", "L": "life"}
BAD_CLASSES = {"3", "4", "5"}
MEANINGFUL = {"login", "query", "transfer", "pay", "apply", "sign"}
TRANSACTION_CODES = ("CK", "QK", "ZZ", "XF", "JF", "LX", "FY", "ED", "CZ", "DX")
REMARKS = {
    "CK": "现金存款",
    "QK": "现金取款",
    "ZZ": "转账汇款",
    "XF": "消费支付",
    "JF": "生活缴费",
    "LX": "存款结息",
    "FY": "账户服务费",
    "ED": "支付额度调整",
    "CZ": "红冲",
    "DX": "产品销售登记",
}

PRODUCTS = (
    Product("CX01", "活期储蓄", "B", "CX", "DM"),
    Product("CX02", "整存整取定期", "B", "CX", "TM"),
    Product("ZF01", "支付结算账户", "B", "ZF", "DM"),
    Product("JJ01", "货币市场基金", "S", "JJ", "FA"),
    Product("JJ02", "债券型基金", "S", "JJ", "FA"),
    Product("ZQ01", "储蓄国债", "S", "ZQ", "BA"),
    Product("BX01", "养老年金保险", "L", "BX", "PL"),
    Product("BX02", "意外伤害保险", "L", "BX", "PL"),
    Product("XD01", "农户小额贷款", "B", "XD", "LN"),
)
PRODUCT = {p.product_id: p for p in PRODUCTS}
# Subject of the general ledger (科目) in which the accounts of a product are kept; what is sold for others stands below the line.
SUBJECTS = {
    "CX01": ("20110101", "活期储蓄存款"),
    "CX02": ("20110201", "定期储蓄存款"),
    "ZF01": ("20110301", "单位结算存款"),
    "JJ01": ("71010101", "代理货币基金"),
    "JJ02": ("71010201", "代理债券基金"),
    "ZQ01": ("71020101", "代理储蓄国债"),
    "BX01": ("71030101", "代理养老保险"),
    "BX02": ("71030201", "代理意外保险"),
    "XD01": ("13030101", "农户小额贷款"),
}
# The other side of all that moves on accounts; it has no accounts of its own.
CLEARING = ("30010101", "清算资金往来")
# Units of CNY in one unit of the currency, times 10^8, before the day's drift.
BASE_RATES = {"USD": 712_000_000, "HKD": 91_200_000, "EUR": 828_500_000}


def to_cny(fen: int, rate: int) -> int:
    """Half-even, once. `rate` is CNY per unit times 10^8."""
    whole, rest = divmod(fen * rate, 10**8)
    return whole + (rest > 5 * 10**7 or (rest == 5 * 10**7 and whole % 2 == 1))
