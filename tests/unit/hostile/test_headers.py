from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.hostile.header_check import check_header
from tests.hostile.headers import headers


@settings(max_examples=examples(2), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers(), st.sampled_from(["link", "upload"]))
def test_hostile_headers_end_in_a_plan_or_in_an_error_of_ours(tmp_path, header, transport):
    content, n_bytes = header
    path = tmp_path / "Model-Q4_K_M.gguf"
    assert check_header(content, n_bytes=n_bytes, path=path, transport=transport, verify=False)
