"""Words of the report in English and Chinese: everything that a reader sees and that is not in a contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """One thing said in both languages of the report."""

    en: str
    zh: str

    def as_dict(self) -> dict[str, str]:
        return {"en": self.en, "zh": self.zh}


PERIODS = {"day": Label("day", "当日"), "mtd": Label("month to date", "本月累计"), "month": Label("month", "全月")}
KINDS = {
    "final": Label("Final", "最终版"),
    "provisional": Label("Provisional", "暂定版"),
    "restated": Label("Restated", "更正版"),
}
# Why a version of a day was built.
CAUSES = {
    "complete": Label("all deliveries have arrived", "数据已全部到齐"),
    "close_by": Label("closing time reached with deliveries missing", "已到截止时间，部分数据未到"),
    "take_on": Label("take-on of history", "历史数据初始装载"),
    "late": Label("late delivery", "数据迟到"),
    "resend": Label("corrected file sent again", "更正文件重发"),
    "repaired": Label("rows repaired", "数据修复"),
    "reversal": Label("reversal of an earlier transaction", "红冲"),
    "late_event": Label("late online events", "线上事件迟到"),
    "identity": Label("customers merged or split", "客户合并或拆分"),
    "definition": Label("definition changed", "指标口径变更"),
    "erased": Label("data erased at a customer's request", "按客户请求删除数据"),
    "rollback": Label("former figures restored", "恢复先前数据"),
}
DIMENSIONS = {
    "legal_entity_id": Label("Legal entity", "法人机构"),
    "business_line": Label("Business line", "条线"),
    "province_code": Label("Province", "省份"),
    "branch_id": Label("Branch", "网点"),
}
LEGAL_ENTITIES = {
    "bank": Label("Bank", "银行"),
    "securities": Label("Securities", "证券"),
    "life": Label("Life", "寿险"),
}
BUSINESS_LINES = {
    "savings": Label("Savings", "储蓄"),
    "insurance": Label("Insurance", "保险"),
    "fund": Label("Funds", "基金"),
    "bond": Label("Bonds", "债券"),
    "micro_loan": Label("Micro loans", "小额融资"),
    "payment": Label("Payments", "支付"),
}
# GB/T 2260, first two digits.
PROVINCES = {
    "11": Label("Beijing", "北京"),
    "12": Label("Tianjin", "天津"),
    "13": Label("Hebei", "河北"),
    "14": Label("Shanxi", "山西"),
    "15": Label("Inner Mongolia", "内蒙古"),
    "21": Label("Liaoning", "辽宁"),
    "22": Label("Jilin", "吉林"),
    "23": Label("Heilongjiang", "黑龙江"),
    "31": Label("Shanghai", "上海"),
    "32": Label("Jiangsu", "江苏"),
    "33": Label("Zhejiang", "浙江"),
    "34": Label("Anhui", "安徽"),
    "35": Label("Fujian", "福建"),
    "36": Label("Jiangxi", "江西"),
    "37": Label("Shandong", "山东"),
    "41": Label("Henan", "河南"),
    "42": Label("Hubei", "湖北"),
    "43": Label("Hunan", "湖南"),
    "44": Label("Guangdong", "广东"),
    "45": Label("Guangxi", "广西"),
    "46": Label("Hainan", "海南"),
    "50": Label("Chongqing", "重庆"),
    "51": Label("Sichuan", "四川"),
    "52": Label("Guizhou", "贵州"),
    "53": Label("Yunnan", "云南"),
    "54": Label("Tibet", "西藏"),
    "61": Label("Shaanxi", "陕西"),
    "62": Label("Gansu", "甘肃"),
    "63": Label("Qinghai", "青海"),
    "64": Label("Ningxia", "宁夏"),
    "65": Label("Xinjiang", "新疆"),
    "71": Label("Taiwan", "台湾"),
    "81": Label("Hong Kong", "香港"),
    "82": Label("Macao", "澳门"),
}
# Names of measures that have no definition in the contracts yet but are named as guards of others.
MEASURES = {
    "K1": Label("Online share of sales", "产品网络销售占比"),
    "K2": Label("Online share of customers", "客户网络销售占比"),
    "K3": Label("Online share of process operation", "流程网络化操作占比"),
    "K4": Label("Off-counter rate", "离柜率"),
    "K5": Label("Digital monthly active customers", "数字月活客户"),
    "K6": Label("Stickiness", "DAU/MAU 黏性"),
    "K7": Label("Digital-only share", "纯线上客户占比"),
    "K8": Label("Digital acquisition", "线上获客占比"),
    "K9": Label("Online-to-branch conversion", "线上引流到店转化率"),
    "K10": Label("Branch-to-online conversion", "网点客户线上迁徙率"),
    "K11": Label("Funnel abandonment", "流程放弃率"),
    "K12": Label("Cost per transaction", "单笔服务成本"),
    "K13": Label("Outlet fixed cost per counter transaction", "网点固定费用单笔分摊"),
    "K14": Label("Cost-income ratio", "成本收入比"),
    "K15": Label("Net interest margin", "净息差"),
    "K16": Label("Net interest income share", "利差收入占比"),
    "K17": Label("Outflow to third-party platforms", "第三方平台资金流出率"),
    "K18": Label("Net diversion", "净分流率"),
    "K19": Label("Demand-deposit share", "活期占比"),
    "K20": Label("Yield gap", "收益率之差"),
    "K21": Label("Decision turnaround", "审核时效"),
    "K22": Label("Straight-through processing", "全流程自动化率"),
    "K23": Label("Queue wait, 90th percentile", "排队等候 p90"),
    "K24": Label("Out-of-hours share", "非营业时间交易占比"),
    "K25": Label("Long-tail contribution", "长尾贡献度"),
    "K26": Label("Customer concentration", "客户集中度"),
    "K27": Label("Inclusive loans", "普惠贷款占比"),
    "K28": Label("Rural reach", "农村覆盖"),
    "K29": Label("Cross-holding", "交叉持有"),
    "K30": Label("Customer churn", "客户流失率"),
    "K31": Label("Dormant accounts", "睡眠户占比"),
    "K32": Label("Net promoter score", "净推荐值"),
    "K33": Label("Complaint density", "投诉量"),
    "K34": Label("Non-performing loan ratio", "不良贷款率"),
    "K35": Label("Overdue loan ratio", "逾期率"),
    "K36": Label("Fraud loss rate", "欺诈率"),
    "K37": Label("Training coverage", "培训覆盖率"),
    "K38": Label("Interdisciplinary staff", "复合型人才占比"),
    "K39": Label("Partner acquisition and cost", "合作获客占比与成本"),
    "K40": Label("Iteration speed", "迭代速度"),
    "K41": Label("Consent and warning coverage", "授权与风险提示覆盖率"),
    "K42": Label("Technology spend", "科技投入占比"),
    "K43": Label("Data trust index", "数据可信度"),
}
# Names of the measures that the definitions declare; one that is not here is shown by its own name.
MEASURE_NAMES = {
    "count_share": Label("share by count", "按笔数"),
    "amount_share": Label("share by amount", "按金额"),
    "origin_count_share": Label("began online, share by count", "线上发起，按笔数"),
    "of_active": Label("of active customers", "占活跃客户"),
    "of_buyers": Label("of buyers", "占购买客户"),
    "instance_share": Label("share of process instances", "按流程"),
    "step_share": Label("share of steps", "按环节"),
    "mau": Label("monthly active customers", "月活客户数"),
    "rate": Label("of active customers", "占活跃客户"),
    "share": Label("share", "占比"),
    "entity_new_share": Label("share, new to each legal entity", "按法人新客户"),
    "ratio": Label("ratio", "比率"),
}


MONTH_CLOSES = Label("Month closes", "关账日期")


def closed_label(since: str) -> dict[str, str]:
    """Of a day whose month is closed: since when (ISO date), and what that means."""
    return {
        "en": f"Month closed since {since}: changes need approval",
        "zh": f"所属月份已于 {since} 关账：更正须经审批",
    }


def approved_label(person: str) -> dict[str, str]:
    """Who let a day of a closed month be told anew."""
    return {"en": f"Approved by {person}", "zh": f"审批人：{person}"}


def cause_label(cause: str | None) -> dict[str, str]:
    """Why a version was built, in both languages; what a person gave as the reason (`rollback: ...`) stands behind it."""
    word, _, reason = (cause or "").partition(": ")
    return {language: f"{text}: {reason}" if reason else text for language, text in label(CAUSES, word).items()}


def label(words: dict[str, Label], key: str | None, fallback: str | None = None) -> dict[str, str]:
    """Both languages of a key; an unknown one is shown as it is."""
    if key is not None and key in words:
        return words[key].as_dict()
    text = fallback or key or ""
    return {"en": text, "zh": text}
