def handle(state, message):
    if message["method"] == "card":
        return state, state
    stamps = state["stamps"] + 1
    reward = stamps == 5
    shops = sorted({*state.get("shops", []), message["argument"].get("shop", "")} - {""})[:20]
    state = {"stamps": 0 if reward else stamps, "rewards": state["rewards"] + reward, "shops": shops}
    effects = [{"kind": "emit", "type": "reward", "data": {"rewards": state["rewards"]}}] if reward else []
    return state, {"stamps": state["stamps"], "reward": reward}, effects


def migrate(state, version):
    return {**state, "shops": []}


def downgrade(state, version):
    return {name: state[name] for name in ("stamps", "rewards")}
