from tests.tables import shown


def test_an_abandoned_process_stays(run):
    made = run(
        "silver.process_instances",
        """
        incoming
        process_instance_id | outcome
        i1                  | approved
        i2                  | abandoned
    """,
    )
    assert shown(made, "process_instance_id", "outcome", "business_date") == [
        ("i1", "approved", "2026-09-15"),
        ("i2", "abandoned", "2026-09-15"),
    ]
