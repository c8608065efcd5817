from tests.tables import shown


def test_a_step_without_a_channel_is_back_office_and_stays(run):
    made = run(
        "silver.process_steps",
        """
        incoming
        process_instance_id | step_no | channel
        i1                  | 1       | mobile
        i1                  | 2       |
    """,
    )
    assert shown(made, "process_instance_id", "step_no", "channel") == [("i1", "1", "mobile"), ("i1", "2", "")]
