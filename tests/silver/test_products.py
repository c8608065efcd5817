from tests.tables import shown


def test_a_product_moves_to_another_line_on_a_day(run):
    made = run(
        "silver.products",
        """
        incoming
        product_id | business_line | product_kind | changed_on
        p1         | savings       | term         | 2026-01-01
        p1         | fund          | term         | 2026-09-15
    """,
    )
    assert shown(made, "product_id", "business_line", "valid_from") == [
        ("p1", "fund", "2026-09-15"),
        ("p1", "savings", "2026-01-01"),
    ]
