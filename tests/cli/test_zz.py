def test_it(tiny_base, tmp_path, toy_task):
    import warnings
    from portfolio import Portfolio, TrainingConfig
    print(tiny_base.tokenizer.tokenize("The old Rose? zebra"), len(tiny_base.tokenizer), tiny_base.longest(128))
    p = Portfolio.init(tmp_path/"p", tiny_base)
    import time
    for n in ("garden","kitchen","harbour"):
        t=time.time(); f = toy_task(n); a=p.add_task(n, f.train, test=f.test, training=TrainingConfig(epochs=2)); print(n, a.validation_score, time.time()-t)
    print(p.report().to_dict()["routed"], p.report().to_dict()["oracle"]["matrix"], p.report().routing_accuracy)
    for a in p.predict(["the old rose here fern", "opera violin flute", "storm ferry"]): print(a)
    assert 0
