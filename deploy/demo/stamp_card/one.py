def handle(state, message):
    if message["method"] == "card":
        return state, state
    stamps = state["stamps"] + 1
    reward = stamps == 5
    state = {"stamps": 0 if reward else stamps, "rewards": state["rewards"] + reward}
    effects = [{"kind": "emit", "type": "reward", "data": {"rewards": state["rewards"]}}] if reward else []
    return state, {"stamps": state["stamps"], "reward": reward}, effects
