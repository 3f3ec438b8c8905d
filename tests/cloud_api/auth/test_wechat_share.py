"""The signature of WeChat's JS-SDK, by the example of its own documentation (附录1)."""

from cloud_api.auth.wechat_share import sign


def test_the_documented_example() -> None:
    ticket = (
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    )
    made = sign(ticket, "Wm3WZYTPz0wzccnW", 1414587457, "http://mp.weixin.qq.com?params=value")
    assert made == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
