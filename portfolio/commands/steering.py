"""Commands that look at the router and change what it decides by."""

from __future__ import annotations

import click

from portfolio.commands.options import (
    dry_run_option,
    given,
    json_option,
    key_value,
    request_of,
    request_options,
    run_options,
    tags_of,
    use_threads,
    wish_options,
)
from portfolio.commands.place import Place


@click.command()
@click.option("--without", metavar="NAME", help="Also say what this task took from the others when it came.")
@run_options
@json_option
@click.pass_context
def overlap(ctx: click.Context, without: str | None, as_json: bool) -> None:
    """Say which tasks are near-duplicates, or take each other's inputs.

    Judged by what is kept of the validation rows of each task, and by the distances between its classes and others.

    \b
    Example:
        portfolio -p support overlap --without banking
    """
    from portfolio.reports.show import show_overlap

    portfolio = ctx.obj.open()
    use_threads(ctx)
    show_overlap(portfolio.overlap(without), as_json)


@click.command()
@wish_options
@click.option("--shared-labels/--own-labels", default=None, help="Whether equal labels of tasks mean the same.")
@dry_run_option
@run_options
@click.pass_context
def calibrate(ctx: click.Context, shared_labels: bool | None, dry_run: bool) -> None:
    """Choose anew when the router abstains and how sure it calls itself.

    What is not given stays as it was wanted before. The tasks are measured again under the new settings.

    \b
    Example:
        portfolio -p support calibrate --coverage 0.9 --oos questions.txt
    """
    from portfolio.reports.show import show_calibration

    portfolio = ctx.obj.open()
    use_threads(ctx)
    made = portfolio.calibrate(**given(ctx, "wishes"), shared_labels=shared_labels, dry_run=dry_run)
    show_calibration(made.state, made.quality.coverage, made.quality.recall)
    if dry_run:
        click.echo("This would hold from now on; nothing was changed.", err=True)


@click.command()
@click.argument("name")
@click.argument("tags", nargs=-1, type=key_value, metavar="[KEY=VALUE]...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take this tag away; repeatable.")
@dry_run_option
@click.pass_obj
def tag(place: Place, name: str, tags: tuple[tuple[str, str], ...], remove: tuple[str, ...], dry_run: bool) -> None:
    """Set tags of a task, which routes.toml decides by, and print all that it has then.

    \b
    Example:
        portfolio -p support tag banking tenant=acme risk=high
    """
    from portfolio.reports.show import show_tags

    if not (tags or remove):
        raise click.UsageError("expected KEY=VALUE or --remove KEY, got neither")
    changes: dict[str, str | None] = {**tags_of(tags)}
    both = [key for key in remove if key in changes]
    if both:
        raise click.UsageError(f"expected a value for tag {both[0]!r} or its removal, got both")
    changes.update(dict.fromkeys(remove))
    show_tags(name, place.open().tag(name, changes, dry_run=dry_run))
    if dry_run:
        click.echo("These would be its tags; nothing was changed.", err=True)


@click.command()
@click.option("--effect", is_flag=True, help="Say what they change for every task, on its test rows.")
@request_options
@json_option
@click.pass_context
def rules(ctx: click.Context, effect: bool, as_json: bool) -> None:
    """Check routes.toml, and list the tasks that a request may reach.

    \b
    Examples:
        portfolio -p support rules --tenant acme --tag risk=high
        portfolio -p support rules --effect --tenant acme
    """
    from portfolio.reports.show import show_permit, show_since

    portfolio = ctx.obj.open()
    if effect:
        return show_since(portfolio.rules_effect(**request_of(ctx)), as_json)
    show_permit(portfolio.permit(**request_of(ctx)), as_json)


COMMANDS = (overlap, calibrate, tag, rules)
