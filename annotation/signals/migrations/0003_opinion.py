from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("signals", "0002_trouble")]

    operations = [
        migrations.AddField(
            model_name="signalswitch",
            name="opinion",
            field=models.BooleanField(default=False),
        ),
    ]
